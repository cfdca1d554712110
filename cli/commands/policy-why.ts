import type { Command } from '../command.ts';
import { command as explain } from './explain.ts';

/** The same question by the name that people of policies look for. */
export const command: Command = {
  ...explain,
  name: 'policy why',
  summary: 'Names rule and constraint for what leaves and what does not (the same as explain)',
  help: explain.help.replaceAll('tollgate explain', 'tollgate policy why'),
};
