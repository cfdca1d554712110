/** The control channel: documents come, are judged, take effect, and are answered. */
export { ANSWER_SUFFIX, type Answer, type AnswerSigner, openAnswer, refusal, remedyOf, signAnswer } from './answer.ts';
export { Control, type ControlOptions, type Sender } from './control.ts';
export { RollbackGuard } from './counter.ts';
export { DocumentFolder } from './folder.ts';
export { type Recovered, recover } from './recover.ts';
