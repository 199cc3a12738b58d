package quern.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.cli.Main;
import quern.demo.Demo;
import quern.store.Checkpoint;
import quern.store.LocalStore;

/** Several recipes in one command, and what a restart makes of those that were finished before it was cut off. */
class SeveralOutputsTest {
    private static final String TOKENS = "--samples 4 --seqlen 64";

    private static Application application;

    @TempDir
    Path folder;

    @BeforeAll
    static void begin() {
        System.setProperty("spark.master", "local[2]");
        System.setProperty("spark.ui.enabled", "false");
        application = new Application();
    }

    @AfterAll
    static void end() {
        application.close();
        System.clearProperty("spark.master");
        System.clearProperty("spark.ui.enabled");
    }

    @Test
    void a_restart_leaves_out_what_is_finished() throws IOException {
        String several = quantize() + " --recipe gptq-w4a16-g128 --recipe gptq-w8a16 --out ";
        assertThat(quern(several + folder.resolve("whole"))).isZero();
        assertThat(quern(several + folder.resolve("cut"))).isZero();
        Map<String, Long> finished = times("cut/gptq-w4a16-g128");
        // As if it had been cut off before the second was finished: an unfinished run without its manifests.
        Path second = folder.resolve("cut/gptq-w8a16");
        String run = Files.readString(second.resolve("quern.json")).replaceAll("(?s).*\"run\" : \"(\\w+)\".*", "$1");
        for (String file : times("cut/gptq-w8a16").keySet()) {
            Files.delete(second.resolve(file));
        }
        Path plan = second.resolve("_quern/" + run + "/plan.txt");
        Files.createDirectories(plan.getParent());
        Files.writeString(plan, "");

        assertThat(quern(several + folder.resolve("cut") + " --resume")).isZero();

        assertThat(times("cut/gptq-w4a16-g128")).isEqualTo(finished);
        assertThat(Files.readAllBytes(second.resolve("model.safetensors")))
                .isEqualTo(Files.readAllBytes(folder.resolve("whole/gptq-w8a16/model.safetensors")));
        assertThat(second.resolve("_quern")).doesNotExist();
        assertThat(quern(several + folder.resolve("cut") + " --resume")).isEqualTo(2); // nothing is left to do
    }

    /** Each transform makes a model of its own, and one that is fitted another for each recipe. */
    @Test
    void recipes_with_transforms_have_the_bytes_that_each_has_alone() throws IOException {
        Map<String, String> recipes = Map.of(
                "narrow", "{bits: 4, transform: awq}",
                "wide", "{bits: 8, transform: awq}",
                "turned", "{bits: 4, transform: hadamard}");
        String quantize = quantize();
        StringBuilder together = new StringBuilder(quantize + " --out " + folder.resolve("together"));
        for (Map.Entry<String, String> recipe : recipes.entrySet()) {
            Path file = folder.resolve(recipe.getKey() + ".yaml");
            Files.writeString(file, recipe.getValue());
            together.append(" --recipe ").append(file);
            assertThat(quern("%s --recipe %s --out %s"
                            .formatted(quantize, file, folder.resolve("alone-" + recipe.getKey()))))
                    .isZero();
        }
        assertThat(quern(together.toString())).isZero();
        for (String name : recipes.keySet()) {
            Path output = folder.resolve("together").resolve(name);
            assertThat(Files.readAllBytes(output.resolve("model.safetensors")))
                    .as(name)
                    .isEqualTo(Files.readAllBytes(folder.resolve("alone-" + name + "/model.safetensors")));
            assertThat(output.resolve("quern.json")).exists();
            assertThat(output.resolve("_quern")).doesNotExist();
        }
    }

    /** The mixture's linears of 4 bits are those of a run with 4 bits, of the same turned model. */
    @Test
    void widths_that_follow_from_a_target_are_of_the_transformed_model() throws IOException {
        String quantize = quantize();
        Path mixed = folder.resolve("mixed");
        assertThat(quern(quantize + " --target-bpw 4.5 --transform hadamard --out " + mixed))
                .isZero();
        assertThat(quern("verify " + mixed)).isZero();
        Path turned = folder.resolve("turned");
        assertThat(quern(quantize + " --bits 4 --transform hadamard --out " + turned))
                .isZero();

        Checkpoint ours = Checkpoint.open(new LocalStore(mixed));
        Checkpoint whole = Checkpoint.open(new LocalStore(turned));
        int same = 0;
        int other = 0;
        for (String name : whole.names()) {
            String codes = name.replaceFirst("\\.(qweight|qzeros|scales|g_idx)$", ".qweight");
            if (ours.spec(codes).equals(whole.spec(codes))) {
                assertThat(ours.read(name)).as(name).isEqualTo(whole.read(name));
                same += name.endsWith("qweight") ? 1 : 0;
            } else {
                other++;
            }
        }
        assertThat(same).as("linears of 4 bits").isPositive();
        assertThat(other).as("tensors of other widths").isPositive();
        assertThat(quern(quantize + " --target-bpw 4.5 --transform awq --out " + folder.resolve("x")))
                .isEqualTo(2);
        assertThat(folder.resolve("x")).doesNotExist();
    }

    /** The model of the demo, which is then not evaluated. */
    private String quantize() throws IOException {
        Path text = folder.resolve("text.txt");
        Files.write(text, Demo.calibrationStories().subList(0, 40));
        return "quantize %s --calibration %s %s".formatted(Demo.unpackTo(folder.resolve("cache")), text, TOKENS);
    }

    private Map<String, Long> times(String output) throws IOException {
        Map<String, Long> times = new TreeMap<>();
        try (var files = Files.list(folder.resolve(output))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                times.put(
                        file.getFileName().toString(),
                        Files.getLastModifiedTime(file).toMillis());
            }
        }
        return times;
    }

    private static int quern(String arguments) {
        return Main.run(
                arguments.split(" "),
                () -> application,
                new PrintWriter(System.out, true),
                new PrintWriter(System.err, true));
    }
}
