package quern.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Promise 3: a driver that is killed loses at most a layer, and another master goes on to the same bytes. */
class KilledDriverTest {
    @TempDir
    Path folder;

    @Test
    @Timeout(300)
    void anotherMasterGoesOnAfterTheDriverWasKilled() throws Exception {
        Path whole = folder.resolve("whole");
        assertThat(quern("local[2]", whole).waitFor()).isZero();

        Path cut = folder.resolve("cut");
        Process killed = quern("local[2]", cut, "--propagation", "exact");
        while (killed.isAlive() && manifests(cut) < 3) {
            Thread.sleep(5);
        }
        assertThat(killed.isAlive()).as("was killed before it was done").isTrue();
        killed.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
        assertThat(cut.resolve("config.json")).doesNotExist();
        assertThat(manifests(cut)).isBetween(3L, 15L);
        assertThat(quern("local[1]", cut, "--propagation", "exact").waitFor())
                .as("a folder with an unfinished run is not taken")
                .isEqualTo(2);
        assertThat(quern("local[1]", cut, "--propagation", "exact", "--resume").waitFor())
                .isZero();

        Path undisturbed = folder.resolve("undisturbed");
        assertThat(quern("local[2]", undisturbed, "--propagation", "exact").waitFor())
                .isZero();
        assertThat(bytes(cut)).isEqualTo(bytes(undisturbed));
        assertThat(bytes(whole)).as("another plan").isNotEqualTo(bytes(cut));
    }

    private Process quern(String master, Path out, String... more) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                "-Dspark.master=" + master,
                "-Dspark.ui.enabled=false"));
        Stream.of(System.getProperty("quern.jvm.opens").split(" ")).forEach(command::add);
        command.addAll(List.of("quern.Quern", "quantize", "demo", "--samples", "16", "--out", out.toString()));
        command.addAll(List.of(more));
        Path log = folder.resolve(out.getFileName() + "-" + System.nanoTime() + ".log");
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
    }

    private static long manifests(Path out) throws IOException {
        if (!Files.isDirectory(out)) {
            return 0;
        }
        try (Stream<Path> files = Files.walk(out)) {
            return files.filter(f -> f.getFileName().toString().endsWith(".json"))
                    .filter(f -> f.toString().contains("/manifests/"))
                    .count();
        } catch (java.io.UncheckedIOException e) {
            return 0; // a folder went while we looked
        }
    }

    /** All files but the report, which tells the time. */
    private static Map<String, String> bytes(Path out) throws Exception {
        Map<String, String> bytes = new TreeMap<>();
        try (Stream<Path> files = Files.walk(out)) {
            for (Path file : files.filter(Files::isRegularFile)
                    .filter(f -> !f.getFileName().toString().startsWith("report."))
                    .toList()) {
                byte[] hash = java.security.MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
                bytes.put(out.relativize(file).toString(), HexFormat.of().formatHex(hash));
            }
        }
        return bytes;
    }
}
