package quern.cli;

/** The output folder of a run that stopped, to remove what it left. */
public record CleanRequest(String folder) {}
