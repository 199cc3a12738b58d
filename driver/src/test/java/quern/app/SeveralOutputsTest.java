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
        String several = "quantize demo --recipe gptq-w4a16-g128 --recipe gptq-w8a16 " + TOKENS + " --out ";
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
