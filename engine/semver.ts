/**
 * A version as three numbers; undefined when the text does not start with one. What follows them is left aside, as Falco
 * does, so a pre-release counts as the release.
 */
export function parseVersion(text: string): readonly [number, number, number] | undefined {
  const found = /^\s*(\d{1,9})\.(\d{1,9})\.(\d{1,9})/.exec(text);
  return found === null ? undefined : [Number(found[1]), Number(found[2]), Number(found[3])];
}

/** Whether a version has the same major number and is at least the wanted one. */
export function isCompatible(version: string, wanted: string): boolean {
  const have = parseVersion(version);
  const want = parseVersion(wanted);
  if (have === undefined || want === undefined || have[0] !== want[0]) return false;
  return have[1] !== want[1] ? have[1] > want[1] : have[2] >= want[2];
}
