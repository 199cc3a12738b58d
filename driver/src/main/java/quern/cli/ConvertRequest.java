package quern.cli;

/**
 * @param model a quantized checkpoint
 * @param format the one that it becomes
 * @param out where to
 */
public record ConvertRequest(ModelRequest model, String format, String out, long maxShardBytes) {}
