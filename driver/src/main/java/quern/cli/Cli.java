package quern.cli;

import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import quern.demo.Demo;

/** The command and its subcommands. */
@Command(
        name = "quern",
        mixinStandardHelpOptions = true,
        versionProvider = Cli.Version.class,
        description = "Quantizes Hugging Face language models on Apache Spark.",
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {
            Cli.Quantize.class,
            Cli.Plan.class,
            Cli.Eval.class,
            Cli.Verify.class,
            Cli.Inspect.class,
            Recommend.class,
            Convert.class,
            Cli.Clean.class
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  quern quantize demo",
            "  quern quantize ./Llama-3.2-1B --out ./Llama-3.2-1B-W4 --calibration wikitext2",
            "  quern plan meta-llama/Llama-3.1-70B --bits 4",
            "  quern recommend meta-llama/Llama-3.1-70B --gpu H100 --server vllm",
            "  quern eval ./Llama-3.2-1B-W4 --against ./Llama-3.2-1B",
            "",
            "Options of spark-submit (--master, --conf, --driver-memory, ...) go before the command:",
            "  quern --master spark://host:7077 --conf spark.executor.memory=64g quantize ...",
            "",
            "Exit codes: 0 done, 1 it failed, 2 something you can mend (one sentence says what).",
            "quern COMMAND --help explains a command."
        })
final class Cli {
    private final Supplier<Commands> commands;

    private Cli(Supplier<Commands> commands) {
        this.commands = commands;
    }

    static CommandLine commandLine(Supplier<Commands> commands) {
        CommandLine line = new CommandLine(new Cli(commands));
        line.setUsageHelpWidth(110);
        line.setUsageHelpLongOptionsMaxWidth(28);
        return line;
    }

    @Command(
            name = "quantize",
            mixinStandardHelpOptions = true,
            sortOptions = false,
            description = "Quantizes a model: checkpoint, report.html and report.json in a new folder.",
            footerHeading = "%nExamples:%n",
            footer = {
                "  quern quantize demo",
                "  quern quantize ./model --out ./model-W4 --calibration c4 --samples 128 --seqlen 2048",
                "  quern quantize ./model --out ./model-W8 --bits 8 --format compressed-tensors",
                "  quern quantize owner/name --out s3a://bucket/name-W4 --revision main --resume",
                "",
                "A run that stopped goes on with the same command and --resume, on another cluster too.",
                "Exit codes: 0 done, 1 it failed, 2 something you can mend."
            })
    static final class Quantize extends Sub {
        @Mixin
        RunOptions run = new RunOptions();

        @Override
        public Integer call() {
            QuantizeRequest request = run.request(true);
            return commands().quantize(request);
        }
    }

    @Command(
            name = "plan",
            mixinStandardHelpOptions = true,
            sortOptions = false,
            description =
                    "Says what quantize would do with the same options, and stops: stages, parts, bytes, memory, time,"
                            + " what is given up. Reads config.json and the headers only.",
            footerHeading = "%nExample:%n",
            footer = {
                "  quern plan ./model --bits 4 --propagation staged --stages 8",
                "",
                "Exit codes: 0 it fits, 1 it failed, 2 it cannot fit, or something else you can mend."
            })
    static final class Plan extends Sub {
        @Mixin
        RunOptions run = new RunOptions();

        @Override
        public Integer call() {
            QuantizeRequest request = run.request(false);
            return commands().plan(request);
        }
    }

    @Command(
            name = "eval",
            mixinStandardHelpOptions = true,
            sortOptions = false,
            description =
                    "Perplexity of a checkpoint on a text; with --against also mean KL divergence and top-1 agreement.",
            footerHeading = "%nExample:%n",
            footer = {
                "  quern eval ./model-W4 --against ./model --text wikitext2 --seqlen 2048 --windows 40",
                "",
                "Windows follow each other in the text; the tail is dropped.",
                "Exit codes: 0 done, 1 it failed, 2 something you can mend."
            })
    static final class Eval extends Sub {
        @Parameters(paramLabel = "MODEL", arity = "1", description = "The checkpoint to judge, quantized or not.")
        String model = "";

        @Option(names = "--against", paramLabel = "MODEL", description = "The checkpoint to compare with.")
        @Nullable
        String against;

        @Option(names = "--revision", paramLabel = "REF", description = "Branch, tag or commit of MODEL on the Hub.")
        @Nullable
        String revision;

        @Option(
                names = "--text",
                paramLabel = "NAME|PATH",
                description =
                        "wikitext2, ptb, ptb_new, c4, c4_new, demo, or PATH[:column]. Default: wikitext2; for demo its"
                                + " own stories.")
        @Nullable
        String text;

        @Option(
                names = "--seqlen",
                paramLabel = "N",
                description = "Tokens of a window. Default: 2048, or the model's positions where it has fewer.")
        @Nullable
        Integer length;

        @Option(names = "--windows", paramLabel = "N", description = "Windows at most. Default: all.")
        @Nullable
        Integer windows;

        @Option(names = "--chars", paramLabel = "N", description = "Characters of the text at most. Default: all.")
        @Nullable
        Integer chars;

        @Mixin
        RemoteCode remoteCode = new RemoteCode();

        @Override
        public Integer call() {
            remoteCode.refuse();
            boolean isDemo = model.equals(Demo.NAME) || Demo.NAME.equals(against);
            String source = text != null ? text : isDemo ? Demo.NAME : "wikitext2";
            int tokens = length != null ? length : source.equals(Demo.NAME) ? Demo.LENGTH : 2048;
            Positive.check("--seqlen", tokens);
            EvalRequest request = new EvalRequest(
                    new ModelRequest(model, revision),
                    Optional.ofNullable(against).map(m -> new ModelRequest(m, null)),
                    source,
                    tokens,
                    length != null,
                    limit("--windows", windows),
                    limit("--chars", chars));
            return commands().eval(request);
        }

        private static int limit(String option, @Nullable Integer value) {
            if (value == null) {
                return 0;
            }
            Positive.check(option, value);
            return value;
        }
    }

    @Command(
            name = "verify",
            mixinStandardHelpOptions = true,
            description =
                    "Checks a checkpoint of Quern from the outside: unpacks it, compares it with its source within the"
                            + " scheme's bound, and looks for every file that loaders need.",
            footerHeading = "%nExample:%n",
            footer = {
                "  quern verify ./model-W4",
                "",
                "Exit codes: 0 it is sound, 1 it is not, 2 something you can mend."
            })
    static final class Verify extends Sub {
        @Parameters(paramLabel = "DIR", arity = "1", description = "The checkpoint.")
        String folder = "";

        @Option(
                names = "--against",
                paramLabel = "MODEL",
                description = "The model it was made from. Default: the one that its report names.")
        @Nullable
        String against;

        @Override
        public Integer call() {
            VerifyRequest request =
                    new VerifyRequest(folder, Optional.ofNullable(against).map(m -> new ModelRequest(m, null)));
            return commands().verify(request);
        }
    }

    @Command(
            name = "inspect",
            mixinStandardHelpOptions = true,
            description = "Says what a checkpoint is: architecture, sizes, format, scheme, who made it.",
            footerHeading = "%nExample:%n",
            footer = {"  quern inspect ./model", "", "Exit codes: 0 done, 1 it failed, 2 something you can mend."})
    static final class Inspect extends Sub {
        @Parameters(paramLabel = "MODEL", arity = "1", description = "demo, a folder, a .gguf file, or a Hub id.")
        String model = "";

        @Option(names = "--revision", paramLabel = "REF", description = "Branch, tag or commit of a Hub id.")
        @Nullable
        String revision;

        @Mixin
        RemoteCode remoteCode = new RemoteCode();

        @Override
        public Integer call() {
            remoteCode.refuse();
            return commands().inspect(new InspectRequest(new ModelRequest(model, revision)));
        }
    }

    @Command(
            name = "clean",
            mixinStandardHelpOptions = true,
            description =
                    "Removes what a run that stopped left in its output folder. A finished checkpoint is not touched.",
            footerHeading = "%nExample:%n",
            footer = {"  quern clean ./model-W4", "", "Exit codes: 0 done, 1 it failed, 2 something you can mend."})
    static final class Clean extends Sub {
        @Parameters(paramLabel = "DIR", arity = "1", description = "The output folder of the run.")
        String folder = "";

        @Override
        public Integer call() {
            return commands().clean(new CleanRequest(folder));
        }
    }

    /** A command; it finds what carries it out in its parent. */
    abstract static class Sub implements Callable<Integer> {
        @CommandLine.ParentCommand
        @Nullable
        Cli parent;

        /** Asked for after the arguments are checked: only then is Spark needed. */
        Commands commands() {
            return Objects.requireNonNull(parent).commands.get();
        }
    }

    /** The version that the jar's manifest states. */
    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Cli.class.getPackage().getImplementationVersion();
            return new String[] {"quern " + (version == null ? "(unpackaged)" : version)};
        }
    }
}
