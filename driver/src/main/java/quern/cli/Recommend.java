package quern.cli;

import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import quern.QuernException;

@Command(
        name = "recommend",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Says which method and format fit a model, a GPU and a server, and why, with the memory that each takes."
                        + " Reads config.json and the headers only.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  quern recommend meta-llama/Llama-3.1-70B --gpu H100 --server vllm",
            "  quern recommend ./model --memory 24GB --server transformers --quality 0.02 --context 16384",
            "",
            "GPUs, servers and measured losses stand in conf/recommend.yaml, who reads which format in conf/formats.",
            "Exit codes: 0 done, 1 it failed, 2 nothing fits, or something else you can mend."
        })
final class Recommend extends Cli.Sub {
    private static final int CONTEXT = 8192;

    @Parameters(paramLabel = "MODEL", arity = "1", description = "demo, a folder, a .gguf file, or a Hub id.")
    String model = "";

    @Option(names = "--revision", paramLabel = "REF", description = "Branch, tag or commit of a Hub id.")
    @Nullable
    String revision;

    @Option(names = "--gpu", paramLabel = "NAME", description = "H100, A100-80GB, RTX-4090, ...")
    @Nullable
    String gpu;

    @Option(names = "--memory", paramLabel = "SIZE", description = "Of a GPU that has no name here: 24GB.")
    @Nullable
    String memory;

    @Option(names = "--server", paramLabel = "NAME", description = "vllm, tgi, lorax, transformers or llama.cpp.")
    @Nullable
    String server;

    @Option(
            names = "--quality",
            paramLabel = "best|KL",
            defaultValue = "best",
            description =
                    "best: the least measured loss of what fits (default). A number: the smallest whose measured KL"
                            + " divergence is at most that, such as 0.02.")
    String quality = "best";

    @Option(
            names = "--context",
            paramLabel = "N",
            description =
                    "Tokens of the sequence that is served. Default: 8192, or the model's positions where it has fewer.")
    @Nullable
    Integer context;

    @Mixin
    RemoteCode remoteCode = new RemoteCode();

    @Override
    public Integer call() {
        remoteCode.refuse();
        if ((gpu == null) == (memory == null)) {
            throw new QuernException(
                    "Cannot recommend without knowing the memory: give either --gpu NAME or --memory SIZE (such as --gpu A100-80GB)");
        }
        if (server == null) {
            throw new QuernException(
                    "Cannot recommend without knowing what runs the model: give --server (vllm, tgi, lorax, transformers or llama.cpp)");
        }
        if (context != null) {
            Positive.check("--context", context);
        }
        return commands()
                .recommend(new RecommendRequest(
                        new ModelRequest(model, revision),
                        gpu,
                        memory == null ? 0 : ByteSize.parse("--memory", memory),
                        server,
                        mostKl(),
                        context == null ? CONTEXT : context,
                        context != null));
    }

    private @Nullable Double mostKl() {
        if (quality.equals("best")) {
            return null;
        }
        try {
            double kl = Double.parseDouble(quality);
            if (kl > 0 && kl < 100) {
                return kl;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        throw new QuernException(
                "Cannot use --quality %s: it is best, or a KL divergence in nats a token (such as 0.02)"
                        .formatted(quality));
    }
}
