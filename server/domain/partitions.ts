/** A partition of one UTC day. */
export interface DayPartition {
  readonly name: string;
  /** Days since 1970. */
  readonly day: number;
}

export interface PartitionPlan {
  readonly create: readonly DayPartition[];
  readonly drop: readonly DayPartition[];
}

const dayMs = 86_400_000;
/** Partitions are made so many days ahead, so that a server that is down over a long weekend leaves no hole. */
const aheadDays = 4;

/**
 * Which day partitions a table needs and which it is done with. `existing` are the names of its partitions; those that
 * do not look like a day's are left alone. A day is dropped when all of it is older than `keepDays`.
 */
export function planPartitions(
  table: string,
  existing: readonly string[],
  nowMs: number,
  keepDays: number,
): PartitionPlan {
  const today = Math.floor(nowMs / dayMs);
  const wanted = Array.from({ length: aheadDays + 2 }, (_, i) => partitionOf(table, today - 1 + i));
  const days = existing.flatMap((name) => parsePartition(table, name));
  return {
    create: wanted.filter(
      (partition) => partition.day >= today - keepDays && !existing.includes(partition.name),
    ),
    drop: days.filter((partition) => partition.day < today - keepDays),
  };
}

/** The day as YYYY-MM-DD. */
export function dayText(day: number): string {
  const { year, month, dayOfMonth } = civil(day);
  return `${String(year).padStart(4, "0")}-${pad(month)}-${pad(dayOfMonth)}`;
}

function partitionOf(table: string, day: number): DayPartition {
  return { name: `${table}_${dayText(day).replaceAll("-", "")}`, day };
}

function parsePartition(table: string, name: string): readonly DayPartition[] {
  const match = /^(\d{4})(\d{2})(\d{2})$/.exec(name.slice(table.length + 1));
  if (match === null || !name.startsWith(`${table}_`)) return [];
  const [year = 0, month = 0, dayOfMonth = 0] = match.slice(1).map(Number);
  const day = daysSince1970(year, month, dayOfMonth);
  // A name that is no date, such as the 31st of February, was not made by this.
  return partitionOf(table, day).name === name ? [{ name, day }] : [];
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

/** The proleptic Gregorian calendar in eras of 400 years that begin in March, so that the leap day comes last. */
function civil(day: number): { readonly year: number; readonly month: number; readonly dayOfMonth: number } {
  const shifted = day + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1_460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  );
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    dayOfMonth: ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

function daysSince1970(year: number, month: number, dayOfMonth: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(shiftedYear / 400);
  const yearOfEra = shiftedYear - era * 400;
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + dayOfMonth - 1;
  const ofEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + ofYear;
  return era * 146_097 + ofEra - 719_468;
}
