package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.store.MemoryStore;

class ProgramTest {
    private static final String MLP = String.join(
            "\n",
            "m = norm(x, ln)   # a comment",
            "",
            "g = linear(m, mlp.gate)",
            "u = linear(m, mlp.up)",
            "f = activate(g, u)",
            "d = linear(f, mlp.down)",
            "x = add(x, d)");

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "x = sum(x, x) | f.yaml:7: operation 'sum' is not one of norm, head_norm, each_head_norm, linear, router, experts, gate, rotary, positions, attention, sink_attention, join, activate, clamped_gate, scale, add",
                "x = add(x, y) | f.yaml:7: 'y' is used before it is given a value",
                "x = add(x) | f.yaml:7: 'add' takes 2 value(s), not 1",
                "x = norm(x) | f.yaml:7: 'norm' takes 1 value(s) and a module, not 0",
                "x = norm(x, a b) | f.yaml:7: 'a b' is not the name of a module",
                "x add(x, x) | f.yaml:7: 'x add(x, x)' does not read 'name = operation(name, ...)'",
                "y = norm(x, ln) | f.yaml:7: no step gives a new 'x'",
            })
    void a_slip_in_a_line_is_refused_with_file_and_line(String text, String sentence) {
        assertThatThrownBy(() -> Program.parse("f.yaml", 7, text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(sentence);
    }

    @Test
    void a_result_that_nobody_reads_is_refused() {
        assertThatThrownBy(() -> Program.parse("f.yaml", 1, "y = norm(x, ln)\nx = add(x, x)"))
                .hasMessage("f.yaml:1: its result is not used");
    }

    @Test
    void a_line_is_counted_in_the_file_and_not_in_the_block() {
        String yaml = String.join(
                "\n",
                "model_types: [t]",
                "names: {embedding: e, layer: l, head: h}",
                "layer: |",
                "  a = norm(x, ln)",
                "  x = nothing(a)");
        assertThatThrownBy(() -> Architecture.parse("t.yaml", yaml)).hasMessageStartingWith("t.yaml:5: operation");
    }

    @Test
    void a_field_that_is_not_known_is_refused_with_its_line() {
        assertThatThrownBy(() -> Architecture.parse("t.yaml", "model_types: [t]\nmodel_typos: [u]"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("t.yaml:2: ");
    }

    @Test
    void lines_below_an_if_count_where_it_holds() {
        String text = String.join(
                "\n", "a", "if one:", "  b", "  if two:", "    c", "  else:   # not two", "    d", "else:", "  e", "f");
        assertThat(chosen(text, Set.of("one", "two")))
                .containsExactly("a", "", "  b", "", "    c", "", "", "", "", "f");
        assertThat(chosen(text, Set.of("one"))).containsExactly("a", "", "  b", "", "", "", "    d", "", "", "f");
        assertThat(chosen(text, Set.of("two"))).containsExactly("a", "", "", "", "", "", "", "", "  e", "f");
    }

    private static List<String> chosen(String text, Set<String> holding) {
        return Branches.chosen(text, holding::contains).lines().toList();
    }

    @Test
    void an_else_without_an_if_is_refused() {
        assertThatThrownBy(() -> Branches.chosen("a\nelse:\n  b", condition -> true))
                .hasMessage("there is an 'else:' without an 'if'");
    }

    @ParameterizedTest
    @CsvSource({"a or b", "a = ", "not a b", "a and"})
    void a_condition_that_cannot_be_read_is_refused(String text) {
        assertThatThrownBy(() -> Condition.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("does not read 'key', 'not key' or 'key = value'");
    }

    @ParameterizedTest(name = "{0} in layer {1}")
    @CsvSource({
        "layer in dense, 1, true",
        "layer in dense, 2, false",
        "not layer in dense, 2, true",
        "layer in missing, 1, false",
        "layer below first, 2, true",
        "layer below first, 3, false",
        "layer below missing, 0, false",
        "layer each step, 0, false",
        "layer each step, 1, true",
        "layer each step, 3, true",
        "not layer in dense and layer each step, 3, true",
        "not layer in dense and layer each step, 1, false"
    })
    void a_condition_may_depend_on_the_layer(String condition, int layer, boolean holds) throws IOException {
        MemoryStore store = new MemoryStore()
                .put("config.json", "{\"dense\": [1], \"first\": 3, \"step\": 2}".getBytes(StandardCharsets.UTF_8));
        Fields fields = Fields.read(store);
        assertThat(Condition.parse(condition).holds(fields.inLayer(layer))).isEqualTo(holds);
    }

    @Test
    void every_way_through_every_familys_file_is_a_program() {
        for (Architecture family : Architectures.all()) {
            Set<String> conditions = new LinkedHashSet<>();
            family.programs(condition -> {
                conditions.add(condition);
                return false;
            });
            List<String> all = List.copyOf(conditions);
            for (int way = 0; way < 1 << all.size(); way++) {
                int bits = way;
                Architecture.Programs programs =
                        family.programs(condition -> (bits >> all.indexOf(condition) & 1) == 1);
                assertThat(programs.layer().sites().size()
                                + programs.expert().sites().size())
                        .as(family.file())
                        .isGreaterThan(2);
            }
        }
    }

    @Test
    void linears_on_one_value_are_one_site() {
        assertThat(Program.parse("f", 1, MLP).sites())
                .extracting(site -> site.stream().map(Step::module).toList())
                .containsExactly(List.of("mlp.gate", "mlp.up"), List.of("mlp.down"));
    }

    @Test
    void a_name_given_again_is_another_value_and_another_site() {
        Program program = Program.parse(
                "f", 1, "a = norm(x, n1)\nb = linear(a, l1)\na = norm(b, n2)\nc = linear(a, l2)\nx = add(x, c)");
        assertThat(program.sites()).hasSize(2);
    }

    @Test
    void a_value_lives_until_its_last_reader() {
        Program program = Program.parse("f", 1, MLP);
        // x, m, g, u, f, d, x
        assertThat(program.lastUses()).containsExactly(5, 2, 3, 3, 4, 5, 6);
    }

    @Test
    void what_is_added_is_known() {
        Program program = Program.parse("f", 1, MLP);
        assertThat(List.of(0, 1, 2, 3, 4, 5)).filteredOn(program::isAdded).containsExactly(0, 5);
    }
}
