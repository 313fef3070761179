/** What to do about a source of rules that no input feeds, in words. */
export function describeUnfed(source: string): string {
  const what = `Rules of source ${source} see no events: no input reads`;
  return source === "syscall"
    ? `${what} the Linux audit log. Add an input "tail" with "parser auditd" whose tag an output "detect" takes`
    : `${what} them. Add an input whose tag an output "detect" takes, or leave the rules out`;
}
