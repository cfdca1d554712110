/** What may leave: agreements, campaigns, the plan that follows from them, the gate that holds it. */
export { type Agreement, type Demand, loadAgreement, type Rule } from './agreement.ts';
export { type Campaign, type CampaignSignal, loadCampaign } from './campaign.ts';
export { compilePlan, type PlanInput } from './compile.ts';
export type { Condition } from './condition.ts';
export type { SignalCatalogue } from './context.ts';
export { type Explanation, explainSignal } from './explain.ts';
export type { Gate, GateDenial } from './gate.ts';
export { createGate } from './gate-table.ts';
export type {
  ContextSource,
  DecodeRight,
  Denial,
  GateRule,
  OperationPlan,
  Plan,
  PlannedSignal,
  SlotRules,
  StreamPlan,
} from './plan.ts';
export { operationText } from './transforms.ts';
