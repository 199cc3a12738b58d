package quern.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;
import quern.scheme.ScaleRule;

class CommandLineTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private @Nullable Object request;
    private RuntimeException failure = null;
    private int answer;

    @TempDir
    Path folder;

    @Test
    void demo_needs_nothing_else() {
        assertThat(quern("quantize demo")).isZero();
        assertThat(request)
                .isEqualTo(new QuantizeRequest(
                        new ModelRequest("demo", null),
                        Optional.of("quern-demo"),
                        Map.of("", Recipe.OPEN),
                        OptionalDouble.empty(),
                        new CalibrationRequest("demo", 123, 512, 0, false),
                        5_000_000_000L,
                        Optional.empty(),
                        OptionalInt.empty(),
                        false,
                        Optional.empty()));
    }

    @Test
    void every_option_of_quantize_arrives() {
        assertThat(quern(
                        "quantize owner/name --out s3a://b/x --revision abc --method gptq --format compressed-tensors --bits"
                                + " 3 --group-size -1 --asym --act-order full --percdamp 0.05 --mse --true-sequential --calibration"
                                + " hdfs://n:8020/t.parquet:story --samples 7 --seqlen 99 --seed -5 --max-shard-size 2GiB"
                                + " --propagation staged --stages 6 --resume --device cuda"))
                .isZero();
        assertThat(request)
                .isEqualTo(new QuantizeRequest(
                        new ModelRequest("owner/name", "abc"),
                        Optional.of("s3a://b/x"),
                        Map.of(
                                "",
                                Recipe.OPEN
                                        .edit()
                                        .method("gptq")
                                        .format("compressed-tensors")
                                        .bits(3)
                                        .groupSize(-1)
                                        .symmetric(false)
                                        .actOrder(ColumnOrder.FULL)
                                        .scales(ScaleRule.MSE)
                                        .percdamp(0.05)
                                        .trueSequential(true)
                                        .recipe()),
                        OptionalDouble.empty(),
                        new CalibrationRequest("hdfs://n:8020/t.parquet:story", 7, 99, -5, true),
                        2L << 30,
                        Optional.of(Propagation.STAGED),
                        OptionalInt.of(6),
                        true,
                        Optional.of("cuda")));
    }

    @Test
    void options_override_the_values_of_a_recipe() throws IOException {
        Path file =
                Files.writeString(folder.resolve("my.yaml"), "bits: 8\ngroup-size: 32\nsymmetric: false\nskip: x\n");
        quern("plan m --recipe " + file + " --group-size 64");
        Recipe recipe = recipe();
        assertThat(recipe.bits()).isEqualTo(8);
        assertThat(recipe.groupSize()).isEqualTo(64);
        assertThat(recipe.symmetric()).isFalse();
        assertThat(recipe.skip()).containsExactly("x");
        quern("plan m --recipe compressed-tensors-w4a16-asym --sym");
        assertThat(recipe()).isEqualTo(RecipeReader.named("compressed-tensors-w4a16"));
        quern("plan m --trits");
        assertThat(recipe().bits()).isEqualTo(2);
        assertThat(recipe().ternary()).isTrue();
    }

    @Test
    void several_recipes_have_names_and_all_get_the_options() throws IOException {
        Path file = Files.writeString(folder.resolve("mine.yaml"), "bits: 3\n");
        quern("plan m --recipe " + file + " --recipe compressed-tensors-w8a16 --group-size 64");
        assertThat(quantize().recipes().keySet()).containsExactlyInAnyOrder("mine", "compressed-tensors-w8a16");
        assertThat(quantize().recipes().values()).allMatch(recipe -> recipe.groupSize() == 64);
        assertThat(quern("plan m --recipe gptq-w3 --recipe gptq-w3")).isEqualTo(2);
        assertThat(err.toString()).contains("Cannot write two recipes of the name gptq-w3");
    }

    @Test
    void a_target_is_for_one_recipe_and_a_number_of_bits() {
        quern("plan m --target-bpw 3.5");
        assertThat(quantize().targetBpw()).hasValue(3.5);
        assertThat(quern("plan m --target-bpw 3.5 --bits 4")).isEqualTo(2);
        assertThat(err.toString()).contains("Cannot use --target-bpw with --bits");
        assertThat(quern("plan m --target-bpw 3.5 --recipe gptq-w3 --recipe gptq-w8a16"))
                .isEqualTo(2);
        assertThat(quern("plan m --target-bpw 3.5 --propagation exact")).isEqualTo(2);
        assertThat(quern("plan m --target-bpw 17")).isEqualTo(2);
    }

    private Recipe recipe() {
        return quantize().recipes().values().iterator().next();
    }

    @Test
    void round_to_nearest_asks_for_nothing_that_needs_a_hessian() throws IOException {
        quern("plan m --method rtn");
        assertThat(Formats.named("gptq").settled(recipe())).isEqualTo(RecipeReader.named("rtn-w4"));
        Path file = Files.writeString(folder.resolve("plain.yaml"), "{method: rtn}");
        quern("plan m --recipe " + file);
        assertThat(Formats.named("gptq").settled(recipe())).isEqualTo(RecipeReader.named("rtn-w4"));
        Files.writeString(file, "{method: rtn, scales: saliency}");
        quern("plan m --recipe " + file);
        assertThat(recipe().scales()).isEqualTo(ScaleRule.SALIENCY);
        Files.writeString(file, "{method: rtn, transform: awq}");
        quern("plan m --recipe " + file);
        assertThat(recipe().scales()).isEqualTo(ScaleRule.OPEN);
        quern("plan m --method rtn --mse");
        assertThat(recipe().scales()).isEqualTo(ScaleRule.MSE);
    }

    @Test
    void every_format_can_be_named() {
        for (Format format : Formats.all()) {
            assertThat(quern("plan m --format " + format.name())).isZero();
            assertThat(recipe().format()).isEqualTo(format.name());
        }
    }

    @Test
    void plan_needs_no_folder() {
        assertThat(quern("plan ./model")).isZero();
        assertThat(quantize().out()).isEmpty();
        assertThat(quantize().calibration()).isEqualTo(new CalibrationRequest("wikitext2", 128, 2048, 0, false));
    }

    @ParameterizedTest
    @CsvSource({"--stages 1, EXACT, 1", "--stages 4, STAGED, 4", "--propagation exact, EXACT, 1"})
    void stages_and_propagation_say_the_same_thing(String options, Propagation propagation, int stages) {
        quern("plan m " + options);
        assertThat(quantize().propagation()).contains(propagation);
        assertThat(quantize().stages()).hasValue(stages);
    }

    @Test
    void the_other_commands_arrive() {
        quern("eval ./q --against ./fp --text t.jsonl:body --seqlen 512 --windows 40 --chars 100000");
        assertThat(request)
                .isEqualTo(new EvalRequest(
                        new ModelRequest("./q", null),
                        Optional.of(new ModelRequest("./fp", null)),
                        "t.jsonl:body",
                        512,
                        true,
                        40,
                        100_000));
        quern("eval demo");
        assertThat(request)
                .isEqualTo(new EvalRequest(new ModelRequest("demo", null), Optional.empty(), "demo", 512, false, 0, 0));
        quern("verify ./q --against demo");
        assertThat(request).isEqualTo(new VerifyRequest("./q", Optional.of(new ModelRequest("demo", null))));
        quern("inspect owner/name --revision r");
        assertThat(request).isEqualTo(new InspectRequest(new ModelRequest("owner/name", "r")));
        quern("clean ./q");
        assertThat(request).isEqualTo(new CleanRequest("./q"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "quantize m | Cannot quantize m: there is no folder for the result (add --out DIR)",
                "quantize demo --bits 5 | Cannot quantize to 5 bits: the codes have 1, 2, 3, 4 or 8 bits",
                "quantize demo --bits four | Invalid value for option '--bits'",
                "quantize demo --group-size 0 | Cannot use group size 0: it is -1 (the whole row) or a positive number",
                "quantize demo --group-size -2 | Cannot use group size -2",
                "quantize demo --sym --asym | Cannot use both --sym and --asym",
                "quantize demo --trits --asym | Cannot use --trits with --asym",
                "quantize demo --trits --bits 4 | Cannot use --trits with --bits 4",
                "quantize demo --stages 0 | Cannot use --stages 0",
                "quantize demo --stages 2 --propagation exact | Cannot propagate exactly through 2 stages",
                "quantize demo --propagation sideways | Cannot use --propagation sideways: it is unknown (use one of exact",
                "quantize demo --percdamp 0 | Cannot damp by 0.0",
                "quantize demo --percdamp 1 | Cannot damp by 1.0",
                "quantize demo --percdamp NaN | Cannot damp by NaN",
                "quantize demo --samples 0 | Cannot use --samples 0",
                "quantize demo --seqlen -1 | Cannot use --seqlen -1",
                "quantize demo --max-shard-size huge | Cannot use --max-shard-size huge: it is not a size",
                "quantize demo --max-shard-size 0GB | Cannot use --max-shard-size 0GB",
                "quantize demo --method awful | Cannot use --method awful: it is unknown (use one of gptq, gptaq, rtn, imatrix, hqq)",
                "quantize demo --format ggml | Cannot use --format ggml: it is unknown (use one of gptq, gptq_v2,",
                "quantize demo --act-order yes | Cannot use --act-order yes: it is unknown (use one of static, group, full",
                "quantize demo --recipe none | Cannot use recipe none: it is unknown (use one of classic,",
                "quantize demo --recipe none.yaml | Cannot read recipe none.yaml: there is no such file",
                "quantize demo --revision x | Cannot take revision x of demo",
                "quantize demo --trust-remote-code | Cannot run a model's own code",
                "plan demo --trust-remote-code | Cannot run a model's own code",
                "inspect m --trust-remote-code | Cannot run a model's own code",
                "eval m --trust-remote-code | Cannot run a model's own code",
                "eval m --windows 0 | Cannot use --windows 0",
                "eval m --chars 0 | Cannot use --chars 0",
                "eval m --seqlen 0 | Cannot use --seqlen 0",
                "eval | Cannot read the command line: Missing required parameter: 'MODEL' (quern eval --help",
                "quantize demo --nonsense | Cannot read the command line: Unknown option: '--nonsense' (quern quantize --help",
                "grind demo | Cannot read the command line: Unmatched arguments from index 0: 'grind', 'demo' (quern --help",
                "--seed 3 | Cannot read the command line",
            })
    void what_is_wrong_is_one_sentence_and_exit_code_2(String arguments, String sentence) {
        assertThat(quern(arguments)).isEqualTo(2);
        assertThat(err.toString().strip())
                .contains(sentence)
                .startsWith("Cannot ")
                .doesNotContain("\n");
        assertThat(out.toString()).isEmpty();
        assertThat(request).isNull();
    }

    @Test
    void an_exit_code_of_a_command_is_handed_on() {
        answer = 1;
        assertThat(quern("verify x")).isEqualTo(1);
    }

    @Test
    void what_the_user_can_mend_is_one_sentence_wherever_it_was_thrown() {
        failure = new IllegalStateException("job aborted", new QuernException("Cannot read x: it is torn (mend it)"));
        assertThat(quern("verify x")).isEqualTo(2);
        assertThat(err.toString().strip()).isEqualTo("Cannot read x: it is torn (mend it)");
    }

    @Test
    void another_failure_names_its_cause_its_place_and_how_to_go_on() {
        failure = new IllegalStateException("job aborted\n\tat somewhere", new IOException("connection reset"));
        assertThat(quern("quantize demo")).isEqualTo(1);
        assertThat(err.toString())
                .contains("Failed: java.lang.IllegalStateException: job aborted (at quern.cli.CommandLineTest.")
                .contains("because of java.io.IOException: connection reset (at ")
                .contains("--resume")
                .doesNotContain("\tat ");
    }

    @Test
    void a_full_disk_is_something_the_user_can_mend() {
        failure = new IllegalStateException("job aborted", new IOException("No space left on device"));
        assertThat(quern("quantize demo")).isEqualTo(2);
        assertThat(err.toString().strip()).startsWith("Cannot ").hasLineCount(1);
    }

    @Test
    void no_command_shows_the_usage() {
        assertThat(quern("")).isEqualTo(2);
        assertThat(err.toString()).contains("Usage: quern").contains("quantize").contains("Exit codes:");
    }

    @ParameterizedTest
    @ValueSource(strings = {"quantize", "plan", "eval", "verify", "inspect", "clean"})
    void help_teaches(String command) {
        assertThat(quern(command + " --help")).isZero();
        String help = out.toString();
        assertThat(help)
                .contains("Usage: quern " + command)
                .contains("  quern " + command + " ")
                .contains("Exit codes: 0 ");
        assertThat(help.lines()).allMatch(l -> l.length() <= 110);
        assertThat(help).doesNotContain("trust-remote-code");
        assertThat(request).isNull();
    }

    @Test
    void every_option_that_can_be_left_away_states_its_default() {
        quern("quantize --help");
        String help = out.toString().replaceAll("\\s+", " ");
        for (String option : List.of("--recipe", "--group-size", "--percdamp", "--samples", "--seqlen", "--seed")) {
            String description = help.substring(help.lastIndexOf(option + "="));
            assertThat(description.substring(0, Math.min(400, description.length())))
                    .contains("Default: ");
        }
        assertThat(quern("--version")).isZero();
        assertThat(out.toString()).contains("quern ");
    }

    @Test
    void sizes_are_those_of_transformers() {
        assertThat(Stream.of("5GB", "500mb", "1.5GiB", "123", "2 TB").map(s -> ByteSize.parse("x", s)))
                .containsExactly(5_000_000_000L, 500_000_000L, 3L << 29, 123L, 2_000_000_000_000L);
    }

    private QuantizeRequest quantize() {
        return (QuantizeRequest) java.util.Objects.requireNonNull(request);
    }

    private int quern(String arguments) {
        String[] args =
                Arrays.stream(arguments.split(" ")).filter(a -> !a.isEmpty()).toArray(String[]::new);
        out.getBuffer().setLength(0);
        err.getBuffer().setLength(0);
        return Main.run(args, Recording::new, new PrintWriter(out, true), new PrintWriter(err, true));
    }

    private final class Recording implements Commands {
        private int record(Object asked) {
            if (failure != null) {
                throw failure;
            }
            request = asked;
            return answer;
        }

        @Override
        public int quantize(QuantizeRequest asked) {
            return record(asked);
        }

        @Override
        public int plan(QuantizeRequest asked) {
            return record(asked);
        }

        @Override
        public int eval(EvalRequest asked) {
            return record(asked);
        }

        @Override
        public int verify(VerifyRequest asked) {
            return record(asked);
        }

        @Override
        public int inspect(InspectRequest asked) {
            return record(asked);
        }

        @Override
        public int convert(ConvertRequest asked) {
            return record(asked);
        }

        @Override
        public int recommend(RecommendRequest asked) {
            return record(asked);
        }

        @Override
        public int clean(CleanRequest asked) {
            return record(asked);
        }
    }
}
