package quern.cli;

/** A checkpoint to describe. */
public record InspectRequest(ModelRequest model) {}
