package quern.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;

class ReportTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Pattern DATA =
            Pattern.compile("<script type=\"application/json\" id=\"data\">(.*?)</script>", Pattern.DOTALL);

    @Test
    void the_json_holds_every_fact_under_its_name() throws Exception {
        JsonNode json = JSON.readTree(Facts.large().json());

        assertThat(json.at("/linears")).hasSize(80 * 7);
        assertThat(json.at("/linears/9/expert").asInt()).isEqualTo(-1);
        assertThat(json.at("/linears/9/tokens").asInt()).isEqualTo(262_144);
        assertThat(json.at("/linears/9/name").asText()).isEqualTo("model.layers.1.self_attn.v_proj");
        assertThat(json.at("/recipe/groupSize").asInt()).isEqualTo(128);
        assertThat(json.at("/calibration/sha256").asText()).hasSize(64);
        assertThat(json.at("/seconds").fieldNames())
                .toIterable()
                .containsExactly("load", "calibrate", "Hessian", "solve", "pack", "write");
        assertThat(json.at("/memory/peakBytes")).hasSize(16);
        assertThat(json.at("/evaluation/kl").asDouble()).isEqualTo(0.01234);
    }

    @Test
    void the_page_holds_the_same_facts_as_the_json() throws Exception {
        Report report = Facts.large();

        JsonNode page = JSON.readTree(dataOf(report.html()));

        assertThat(page.get("report")).isEqualTo(JSON.readTree(report.json()));
    }

    @Test
    void no_name_leaves_its_string() throws Exception {
        String evil = "</script><script>alert(1)</script>{{echarts}}{{page}}";
        Report report = Facts.of(evil, Recipe.DEFAULT, 1, 1, false, null);

        String html = report.html();

        assertThat(html).doesNotContain("<script>alert(1)");
        assertThat(JSON.readTree(dataOf(html)).at("/report/model").asText()).isEqualTo(evil);
    }

    @Test
    void the_page_is_whole_and_asks_for_nothing_from_elsewhere() {
        String html = Facts.small().html();

        assertThat(html).doesNotContain("{{style}}", "{{facts}}", "{{page}}", "{{echarts}}", "{{title}}");
        assertThat(html).contains("default-src 'none'").contains("Licensed to the Apache Software Foundation");
        assertThat(Pattern.compile("<[^>]+\\s(src|href)=")
                        .matcher(html.substring(0, html.indexOf("id=\"data\"")))
                        .find())
                .isFalse();
    }

    @Test
    void a_program_that_cannot_read_the_checkpoint_is_named_with_the_reason() {
        Recipe asymmetric =
                Recipe.DEFAULT.edit().symmetric(false).percdamp(0.01).recipe();

        var programs = LoadGuide.of(asymmetric, "llama", "/out/m", java.util.List.of());

        var vllm = programs.stream()
                .filter(p -> p.name().equals("vLLM"))
                .findFirst()
                .orElseThrow();
        assertThat(vllm.code()).isNull();
        assertThat(vllm.remark()).contains("symmetric codes only");
        assertThat(LoadGuide.of(Recipe.DEFAULT, "llama", "file:/out/made-up-4m-w4", java.util.List.of()))
                .allSatisfy(p -> assertThat(p.code()).contains("/out/made-up-4m-w4"));
    }

    @Test
    void a_family_that_transformers_does_not_open_is_left_to_gptqmodel() {
        for (String family : java.util.List.of("gpt2", "falcon")) {
            var programs = LoadGuide.of(Recipe.DEFAULT, family, "/out/m", java.util.List.of());
            assertThat(programs.get(0).name()).isEqualTo("transformers");
            assertThat(programs.get(0).code()).isNull();
            assertThat(programs.get(0).remark()).contains("in neither format").endsWith("Use GPTQModel.");
            assertThat(programs.get(1).code()).contains("GPTQModel.load(\"/out/m\"");
        }
    }

    @Test
    void experts_are_left_to_the_programs_that_read_them() {
        var linears = Facts.of("m", Recipe.DEFAULT, 2, 1, false, null, 4).linears();
        var programs = LoadGuide.of(Recipe.DEFAULT, "mixtral", "/out/m", linears);
        assertThat(programs.get(0).code()).isNull();
        assertThat(programs.get(0).remark()).contains("random").endsWith("--format compressed-tensors.");
        assertThat(programs.get(1).code()).isNull();
        assertThat(LoadGuide.of(Recipe.DEFAULT, "qwen3_moe", "/out/m", linears)
                        .get(1)
                        .code())
                .contains("GPTQModel.load(\"/out/m\"");
        assertThat(programs.get(2).remark()).contains("Not tried with experts.");
        Recipe asymmetric = RecipeReader.read("{format: compressed-tensors, symmetric: false}", "test");
        var compressed =
                LoadGuide.of(asymmetric, "qwen3_moe", "/out/m", linears).get(0);
        assertThat(compressed.name()).isEqualTo("transformers");
        assertThat(compressed.code()).isNull();
        assertThat(compressed.remark()).contains("zero points of experts").endsWith("--sym.");
    }

    @Test
    void a_source_that_was_quantized_already_is_named() throws Exception {
        assertThat(Summary.of(Facts.small())).doesNotContain("already");
        Report lossy = Facts.quantizedBefore("the source was quantized already: gptq, 4 bits in groups of 128");
        assertThat(Summary.of(lossy)).contains("source      the source was quantized already: gptq, 4 bits");
        assertThat(JSON.readTree(lossy.json()).at("/lossy").asText()).contains("gptq, 4 bits");
    }

    @Test
    void the_summary_says_the_figures_and_where_everything_is() {
        assertThat(Summary.of(Facts.small()))
                .contains("4.848 -> 4.901 (+1.10 %), KL 0.0123, same first choice 96.4 %")
                .contains("7.35 MB -> 2.45 MB (3.0 x smaller), 4.16 bits")
                .contains("11.9 s: load 4 %, calibrate 34 %, Hessian 19 %, solve 40 %, pack 3 %, write 2 %")
                .contains("notes       none")
                .contains("file:/out/made-up-4m-w4/report.html");
        assertThat(Summary.of(Facts.of("m", Recipe.DEFAULT, 1, 1, false, null))).contains("not measured");
    }

    @ParameterizedTest
    @CsvSource({"3, gptq, true", "4, gptq, false", "3, rtn, false", "3, gptaq, false"})
    void with_few_bits_a_run_of_gptq_tells_of_gptaq(int bits, String method, boolean told) {
        Recipe recipe = RecipeReader.read("{bits: %d, method: %s}".formatted(bits, method), "test");
        assertThat(Summary.of(Facts.of("m", recipe, 1, 1, false, null)).contains("--method gptaq"))
                .isEqualTo(told);
    }

    /** Not a check: leaves pages to look at in {@code target/report}. */
    @Test
    void pages_to_look_at() throws Exception {
        Path folder = Files.createDirectories(Path.of("target", "report"));
        Files.writeString(folder.resolve("small.html"), Facts.small().html());
        Files.writeString(folder.resolve("large.html"), Facts.large().html());
        Files.writeString(
                folder.resolve("experts.html"),
                Facts.of("m", Recipe.DEFAULT, 48, 1, false, null, 64).html());
        Files.writeString(
                folder.resolve("unmeasured.html"),
                Facts.of("m", Recipe.DEFAULT, 2, 3, false, null).html());
    }

    private static String dataOf(String html) {
        Matcher data = DATA.matcher(html);
        assertThat(data.find()).isTrue();
        return data.group(1);
    }
}
