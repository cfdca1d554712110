/** What may leave: agreements, campaigns, the plan that follows from them, the gate that holds it. */
export {
  type Agreement,
  type Budget,
  type Demand,
  type Duty,
  type Layer,
  loadAgreement,
  type Rule,
} from './agreement.ts';
export { type Campaign, type CampaignSignal, loadCampaign } from './campaign.ts';
export { compilePlan, type PlanInput } from './compile.ts';
export type { Condition } from './condition.ts';
export type { SignalCatalogue, UnitFacts } from './context.ts';
export type { RecipientFacts } from './decide.ts';
export {
  createDecisionTable,
  type Decision,
  type DecisionInput,
  type DecisionRequest,
  type DecisionTable,
} from './decision-table.ts';
export { type DiffInput, diffPolicies, leavesAs, opens, type PolicyChange, type Terms } from './diff.ts';
export { type Explanation, explainSignal } from './explain.ts';
export { findingsOf, type PolicyFinding } from './findings.ts';
export type { Gate, GateDenial } from './gate.ts';
export { createGate } from './gate-table.ts';
export { type ImportedPolicy, type ImportTerms, importPolicy } from './import/foreign.ts';
export type { Term, Triple } from './odrl/graph.ts';
export { loadOdrlTriples } from './odrl/jsonld.ts';
export type {
  BudgetPlan,
  ContextSource,
  DecodeRight,
  Denial,
  DutyPlan,
  GateRule,
  Plan,
  PlannedSignal,
  SlotRules,
  StreamPlan,
} from './plan.ts';
export {
  type ConstraintReport,
  type DutyReport,
  evaluateOdrl,
  type OdrlEvaluation,
  type PolicyReport,
  type RuleReport,
  reportJsonLd,
} from './report.ts';
export { targetReaches } from './targets.ts';
export { operationText } from './transforms.ts';
