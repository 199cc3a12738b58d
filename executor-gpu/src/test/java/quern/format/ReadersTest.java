package quern.format;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import quern.scheme.ColumnOrder;

/** The files of {@code conf/formats} are whole, and answer as their conditions say. */
class ReadersTest {
    private static final Path FILES = Path.of("..", "conf", "formats");

    static Stream<Format> formats() {
        return Formats.all().stream();
    }

    @ParameterizedTest
    @MethodSource("formats")
    void every_format_says_who_reads_it_and_how_that_is_known(Format format) throws Exception {
        List<Reader> readers = Readers.of(format);

        assertThat(readers).extracting(Reader::program).doesNotHaveDuplicates().isNotEmpty();
        for (Reader reader : readers) {
            List<Reader.Case> cases = reader.cases() == null ? List.of() : reader.cases();
            if (reader.proof() == null) {
                assertThat(reader.answer(traits(format.name(), "llama", 4, 128, true))
                                .refuses())
                        .isNotNull();
                continue;
            }
            assertThat(reader.version()).as(reader.program()).isNotEmpty();
            assertThat(reader.source()).as(reader.program()).isNotEmpty();
            if (reader.gpuSource() != null) {
                assertThat(URI.create(reader.gpuSource()).getScheme()).isEqualTo("https");
            }
            assertThat(reader.gpu() == null || reader.gpu() >= 5 && reader.gpu() < 20)
                    .isTrue();
            List<String> codes = new ArrayList<>();
            codes.add(reader.code());
            cases.forEach(c -> codes.add(c.code()));
            for (String code : codes.stream().filter(Objects::nonNull).toList()) {
                assertThat(Readers.code(code, "/a/b", 4)).contains("\"/a/b\"").doesNotContain("{path}", "{bits}");
            }
        }
    }

    @Test
    void every_file_belongs_to_a_format() throws Exception {
        List<String> known = Formats.all().stream().map(Format::readers).toList();
        try (Stream<Path> files = Files.list(FILES)) {
            assertThat(files.map(f -> f.getFileName().toString())
                            .filter(f -> f.endsWith(".yaml"))
                            .map(f -> f.replace(".yaml", "")))
                    .isSubsetOf(known);
        }
    }

    @Test
    void cases_are_taken_in_their_order_and_the_first_that_refuses_ends_them() {
        Reader reader = reader("gptq", "vLLM");
        assertThat(reader.answer(traits("gptq", "llama", 4, 128, true)).code()).isEqualTo("vllm");
        assertThat(reader.answer(traits("gptq", "llama", 4, 128, false)).refuses())
                .contains("symmetric codes only");
        assertThat(reader.answer(traits("gptq", "llama", 3, 128, true)).refuses())
                .isEqualTo("vLLM reads 4 and 8 bits in this format, not 3.");
        assertThat(reader.answer(traits("gptq", "llama", 8, 128, true)).remark())
                .startsWith("On a CPU it reads 4 bits only. As a server:");
        assertThat(reader.answer(linears(linear("self_attn.q_proj", 4))).refuses())
                .contains("vLLM joins q, k and v");
    }

    @Test
    void linears_that_are_joined_have_one_width() {
        Reader reader = reader("gptq", "vLLM");
        assertThat(reader.answer(linears(linear("mlp.gate_proj", 4), linear("mlp.up_proj", 4)))
                        .refuses())
                .isNull();
        assertThat(reader.answer(linears(linear("mlp.gate_proj", 4), linear("mlp.up_proj", 8)))
                        .refuses())
                .contains("vLLM joins q, k and v");
        assertThat(reader.answer(linears(linear("mlp.down_proj", 3), linear("self_attn.o_proj", 4)))
                        .refuses())
                .isEqualTo("vLLM reads 4 and 8 bits in this format, not 3 and 4.");
    }

    @Test
    void a_whole_row_is_as_long_as_the_longest() {
        Reader reader = reader("gptq", "GPTQModel");
        assertThat(reader.answer(rows(256)).code()).isEqualTo("gptqmodel");
        assertThat(reader.answer(rows(257)).code()).isEqualTo("gptqmodel-torch");
        assertThat(reader("gptq_v2", "TGI")
                        .answer(traits("gptq_v2", "llama", 4, 128, true))
                        .refuses())
                .contains("--format gptq");
    }

    private static Traits.Linear linear(String name, int bits) {
        return new Traits.Linear("model.layers.0." + name, 64, bits, 128, false);
    }

    private static Traits linears(Traits.Linear... linears) {
        return new Traits("gptq", "llama", true, ColumnOrder.STATIC, List.of(linears));
    }

    private static Traits rows(int inputs) {
        return linears(new Traits.Linear("model.layers.0.mlp.down_proj", inputs, 4, -1, false));
    }

    private static Traits traits(String format, String family, int bits, int group, boolean symmetric) {
        return new Traits(
                format,
                family,
                symmetric,
                ColumnOrder.STATIC,
                List.of(new Traits.Linear("model.layers.0.mlp.down_proj", 256, bits, group, false)));
    }

    private static Reader reader(String format, String program) {
        return Readers.of(Formats.named(format)).stream()
                .filter(r -> r.program().equals(program))
                .findFirst()
                .orElseThrow();
    }
}
