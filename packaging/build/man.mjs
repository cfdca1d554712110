// Man page and shell completion, from what the commands say of themselves.
import { commandsOf } from './bundle.mjs';

const roff = (text) =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
const options = (help) => [...new Set(help.match(/--[a-z][a-z-]*/g) ?? [])].filter((one) => one !== '--help');

/** tollgate(1): every command with its help. */
export async function manPage(program, kind, version, date) {
  const commands = await commandsOf(kind);
  const lines = [
    `.TH ${program.toUpperCase()} 1 "${date}" "Tollgate ${version}" "Tollgate"`,
    '.SH NAME',
    `${roff(program)} \\- edge agent of the automotive trusted data space`,
    '.SH SYNOPSIS',
    `.B ${roff(program)}`,
    '.I COMMAND',
    '[\\fIOPTIONS\\fR]',
    '.SH DESCRIPTION',
    'Nothing leaves the vehicle unless its policy lets it. What leaves is the least that serves, sealed for its recipient, counted,',
    'and provable.',
    '.SH COMMANDS',
  ];
  for (const { name, summary, help } of commands) {
    lines.push(`.SS ${roff(name)}`, roff(summary), '.PP', '.nf', roff(help.trim()), '.fi');
  }
  if (kind === 'unit') {
    lines.push(
      '.SH FILES',
      '.TP\n.I /etc/tollgate/tollgate.yaml\nconfiguration',
      '.TP\n.I /var/lib/tollgate\nstate: outbox, ledger, meter, keys',
    );
  }
  lines.push('.SH EXIT STATUS', '0 done, 1 the answer is no, 2 bad usage or input.', '');
  return lines.join('\n');
}

/** Completion for bash: commands, then their options, then files. */
export async function completion(program, kind) {
  const commands = await commandsOf(kind);
  const names = commands.map(({ name }) => name);
  const first = [...new Set(names.map((name) => name.split(' ')[0]))].sort();
  const groups = first.filter((word) => names.some((name) => name.startsWith(`${word} `)));
  const second = groups.map((word) => {
    const words = names.filter((name) => name.startsWith(`${word} `)).map((name) => name.split(' ')[1]);
    return `    ${word}) words="${words.join(' ')}" ;;`;
  });
  const known = commands.map(({ name, help }) => `    "${name}") words="${options(help).join(' ')} --help" ;;`);
  const fn = `_${program.replaceAll('-', '_')}`;
  return `# bash completion for ${program}
${fn}() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=""
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${known.filter((line) => line.includes(' ') && /^ {4}"\S+ \S+"/.test(line)).join('\n')}
    *) case "\${COMP_WORDS[1]}" in
${known
  .filter((line) => /^ {4}"\S+"\)/.test(line))
  .map((line) => `  ${line}`)
  .join('\n')}
    esac ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${first.join(' ')} --help --version"
  elif [ "$COMP_CWORD" -eq 2 ]; then
    case "\${COMP_WORDS[1]}" in
${second.join('\n')}
    esac
  fi
  if [ -n "$words" ] && { [ "$COMP_CWORD" -le 2 ] || [ "\${word#-}" != "$word" ]; }; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  fi
}
complete -o default -F ${fn} ${program}
`;
}
