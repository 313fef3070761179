/**
 * How far clocks of clusters may be ahead. An alert keeps the time that its agent gave it, because that is part of what tells it
 * apart; one that lies further ahead is neither the newest of a group nor of a list that has no end.
 */
export const clockSlackMs = 600_000;
