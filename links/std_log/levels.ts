/**
 * Stand-in for `@std/log/levels`: the levels, their names and the way between the two.
 * @module
 */

/** The number of each level, by its name. */
export const LogLevels = {
  NOTSET: 0,
  DEBUG: 10,
  INFO: 20,
  WARN: 30,
  ERROR: 40,
  CRITICAL: 50,
} as const;

/** The number of a level. */
export type LogLevel = typeof LogLevels[LevelName];

/** The name of a level. */
export type LevelName = keyof typeof LogLevels;

/** All names, from the lowest level to the highest. */
export const LogLevelNames: LevelName[] = Object.keys(LogLevels) as LevelName[];

/**
 * Finds a level's number.
 *
 * @param name Name of the level.
 * @returns Its number.
 * @throws {Error} If no level has that name.
 */
export function getLevelByName(name: LevelName): LogLevel {
  if (!Object.hasOwn(LogLevels, name)) {
    throw new Error(`Cannot find the log level "${name}": no level has this name`);
  }
  return LogLevels[name];
}

/**
 * Finds a level's name.
 *
 * @param level Number of the level.
 * @returns Its name.
 * @throws {Error} If no level has that number.
 */
export function getLevelName(level: LogLevel): LevelName {
  const name = LogLevelNames.find((name) => LogLevels[name] === level);
  if (name === undefined) {
    throw new Error(`Cannot find the log level ${level}: no level has this number`);
  }
  return name;
}
