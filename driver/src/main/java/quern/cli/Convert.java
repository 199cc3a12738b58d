package quern.cli;

import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import quern.QuernException;

@Command(
        name = "convert",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Writes a quantized checkpoint in another format, with the same codes and scales: without calibration, and"
                        + " without loss, or with scales rounded once to another type, which it says and measures.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  quern convert ./model-gptq --format compressed-tensors",
            "  quern convert owner/model-awq --format gptq_v2 --out s3a://bucket/model-gptq_v2",
            "",
            "What has no place in the other format is refused: quern quantize chooses codes anew.",
            "Exit codes: 0 done, 1 it failed, 2 something you can mend."
        })
final class Convert extends Cli.Sub {
    @Parameters(paramLabel = "MODEL", arity = "1", description = "A quantized checkpoint: a folder or a Hub id.")
    String model = "";

    @Option(
            names = "--format",
            paramLabel = "NAME",
            description = "What it becomes: gptq, awq, compressed-tensors, ...")
    @Nullable
    String format;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            description = "Where to: a folder that does not exist. Default: the model's name and the format's.")
    @Nullable
    String out;

    @Option(names = "--revision", paramLabel = "REF", description = "Branch, tag or commit of a Hub id.")
    @Nullable
    String revision;

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            defaultValue = "5GB",
            description = "Largest output file. Default: 5GB.")
    String maxShardSize = "5GB";

    @Mixin
    RemoteCode remoteCode = new RemoteCode();

    @Override
    public Integer call() {
        remoteCode.refuse();
        if (format == null) {
            throw new QuernException(
                    "Cannot convert " + model + ": to what is not said (add --format, such as compressed-tensors)");
        }
        String known = RecipeOptions.format(format);
        String folder = out != null ? out : model.replaceAll("/+$", "").replaceFirst(".*/", "") + "-" + known;
        return commands()
                .convert(new ConvertRequest(
                        new ModelRequest(model, revision),
                        known,
                        folder,
                        ByteSize.parse("--max-shard-size", maxShardSize)));
    }
}
