package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import quern.QuernException;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.device.FakeGpu;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Experts that are solved together become, to the bit, what each becomes alone. */
class GptqBatchTest {
    private static final int INPUTS = 160;
    private static final int OUTPUTS = 40;

    /** Ordinary ones, and one that has to be damped more, one with columns that no token reaches, one that no damping helps, one without a token. */
    private static List<Hessian> hessians(Random random) {
        Hessian dead = Samples.hessian(INPUTS, 400, random);
        for (int column : new int[] {0, 17, 150}) {
            for (int i = 0; i < INPUTS; i++) {
                dead.sum().values()[column * INPUTS + i] = 0;
                dead.sum().values()[i * INPUTS + column] = 0;
            }
        }
        return List.of(
                Samples.hessian(INPUTS, 400, random),
                equal(1.05f),
                dead,
                equal(3),
                new Hessian(Matrix.zeros(INPUTS, INPUTS), 0),
                Samples.hessian(INPUTS, 70, random));
    }

    /** Ones on the diagonal, the same value everywhere else; its smallest eigenvalue is 1 - value. */
    private static Hessian equal(float value) {
        Matrix sum = Matrix.zeros(INPUTS, INPUTS);
        for (int i = 0; i < INPUTS * INPUTS; i++) {
            sum.values()[i] = i % (INPUTS + 1) == 0 ? 1 : value;
        }
        return new Hessian(sum, 1);
    }

    record Case(String device, Recipe recipe, Scheme scheme) {
        @Override
        public String toString() {
            return device + ", " + scheme.order() + ", " + recipe.scales() + ", " + scheme.groupSize();
        }
    }

    static Stream<Case> cases() {
        List<Case> cases = new ArrayList<>();
        for (String device : List.of("java", "cpu")) {
            for (ColumnOrder order :
                    List.of(ColumnOrder.OFF, ColumnOrder.STATIC, ColumnOrder.GROUP, ColumnOrder.FULL)) {
                for (ScaleRule rule : List.of(ScaleRule.MAX, ScaleRule.MSE, ScaleRule.DIAGONAL, ScaleRule.SALIENCY)) {
                    int group = rule == ScaleRule.DIAGONAL ? 48 : 32; // the last one short
                    Scheme scheme = Samples.scheme(4, group, rule != ScaleRule.DIAGONAL, order);
                    cases.add(new Case(device, Samples.recipe(scheme, rule), scheme));
                }
            }
            Scheme rows = Samples.scheme(3, -1, true, ColumnOrder.STATIC);
            cases.add(new Case(device, Samples.recipe(rows, ScaleRule.SALIENCY), rows));
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void a_batch_is_what_each_is_alone(Case c) {
        Random random = Seeds.random();
        List<Hessian> hessians = hessians(random);
        List<Matrix> gates = weights(hessians.size(), OUTPUTS, random);
        List<Matrix> ups = weights(hessians.size(), OUTPUTS + 3, random); // of other shape: one after the other
        try (Device device = Devices.open(c.device(), DType.F32)) {
            List<Method.Outcome> alone = new ArrayList<>();
            for (int i = 0; i < hessians.size(); i++) {
                try (Method.Solver solver = new Gptq().solver(c.recipe(), hessians.get(i), device)) {
                    alone.add(solver.quantize("gate " + i, gates.get(i), c.scheme()));
                    alone.add(solver.quantize("up " + i, ups.get(i), c.scheme()));
                }
            }
            assertThat(new Gptq().batches(c.scheme())).isTrue();
            try (Method.Batch batch = new Gptq().batch(c.recipe(), hessians, device)) {
                assertSame(batch.quantize(names("gate"), gates, c.scheme()), alone, 0);
                assertSame(batch.quantize(names("up"), ups, c.scheme()), alone, 1);
            }
        }
    }

    /** On libraries that play a GPU: scales chosen before the sweep and fitted behind it, and chosen on the way and kept. */
    @ParameterizedTest
    @CsvSource({"STATIC, SALIENCY", "FULL, MAX"})
    void a_batch_on_a_gpu_is_what_each_is_alone(ColumnOrder order, ScaleRule rule) {
        FakeGpu.assumeBuilt();
        Scheme scheme = Samples.scheme(4, 32, true, order);
        a_batch_is_what_each_is_alone(new Case("cuda", Samples.recipe(scheme, rule), scheme));
    }

    /** @param which linear of each site */
    private static void assertSame(List<Method.Outcome> together, List<Method.Outcome> alone, int which) {
        assertThat(together).hasSize(alone.size() / 2);
        for (int i = 0; i < together.size(); i++) {
            Method.Outcome one = alone.get(2 * i + which);
            Method.Outcome same = together.get(i);
            assertThat(same.quantized().codes())
                    .as("codes of %d", i)
                    .isEqualTo(one.quantized().codes());
            assertThat(same.quantized().scales())
                    .as("scales of %d", i)
                    .isEqualTo(one.quantized().scales());
            assertThat(same.quantized().zeros())
                    .as("zeros of %d", i)
                    .isEqualTo(one.quantized().zeros());
            assertThat(same.quantized().groupOfColumn())
                    .isEqualTo(one.quantized().groupOfColumn());
            assertThat(same.losses()).as("losses of %d", i).isEqualTo(one.losses());
            assertThat(same.notes()).as("notes of %d", i).isEqualTo(one.notes());
        }
        assertThat(together.get(1).notes()).singleElement().asString().contains("raised to");
        assertThat(together.get(3).notes()).last().asString().contains("could not be factored with any damping");
        assertThat(together.get(4).notes()).singleElement().asString().startsWith("no calibration token");
        assertThat(together.get(0).notes()).isEmpty();
    }

    private static List<Matrix> weights(int count, int outputs, Random random) {
        return Stream.generate(() -> Samples.weight(outputs, INPUTS, random))
                .limit(count)
                .toList();
    }

    private static List<String> names(String linear) {
        return Stream.iterate(0, i -> i + 1).limit(6).map(i -> linear + " " + i).toList();
    }

    /** Schemes of one order of columns and several lengths of groups share a factorization, alone and together. */
    @Test
    void groups_of_two_lengths_share_an_order() {
        Random random = Seeds.random();
        List<Hessian> hessians = List.of(Samples.hessian(INPUTS, 400, random), Samples.hessian(INPUTS, 300, random));
        List<Matrix> weights = weights(2, OUTPUTS, random);
        try (Device device = Devices.open("java", DType.F32)) {
            Scheme wide = Samples.scheme(4, 80, true, ColumnOrder.STATIC);
            Scheme narrow = Samples.scheme(4, 16, true, ColumnOrder.STATIC);
            Recipe recipe = Samples.recipe(wide, ScaleRule.SALIENCY);
            try (Method.Batch batch = new Gptq().batch(recipe, hessians, device);
                    Method.Solver both = new Gptq().solver(recipe, hessians.get(1), device);
                    Method.Solver one = new Gptq().solver(recipe, hessians.get(1), device)) {
                batch.quantize(List.of("a", "b"), weights, wide);
                both.quantize("b", weights.get(1), wide);
                byte[] codes =
                        one.quantize("b", weights.get(1), narrow).quantized().codes();
                assertThat(both.quantize("b", weights.get(1), narrow)
                                .quantized()
                                .codes())
                        .isEqualTo(codes);
                assertThat(batch.quantize(List.of("a", "b"), weights, narrow)
                                .get(1)
                                .quantized()
                                .codes())
                        .isEqualTo(codes);
            }
        }
    }

    @Test
    void a_hessian_that_is_not_finite_is_an_error_with_its_linear() {
        Random random = Seeds.random();
        List<Hessian> hessians = List.of(Samples.hessian(INPUTS, 400, random), Samples.hessian(INPUTS, 400, random));
        hessians.get(1).sum().values()[40 * INPUTS + 40] = Float.NaN;
        Scheme scheme = Samples.scheme(4, 32, true, ColumnOrder.STATIC);
        try (Device device = Devices.open("java", DType.F32);
                Method.Batch batch = new Gptq().batch(Samples.recipe(scheme, ScaleRule.MAX), hessians, device)) {
            assertThatThrownBy(() -> batch.quantize(List.of("a", "b"), weights(2, OUTPUTS, random), scheme))
                    .isInstanceOf(QuernException.class)
                    .hasMessageStartingWith("Cannot quantize b: the Hessian of its inputs holds NaN");
        }
    }

    @Test
    void a_method_that_knows_no_batches_takes_one_after_the_other() {
        Random random = Seeds.random();
        List<Matrix> weights = weights(2, OUTPUTS, random);
        Scheme scheme = Samples.scheme(4, 32, true, ColumnOrder.STATIC);
        Recipe recipe = Samples.recipe(scheme, ScaleRule.MAX);
        List<Hessian> hessians = List.of(Samples.hessian(INPUTS, 40, random), Samples.hessian(INPUTS, 40, random));
        try (Device device = Devices.open("java", DType.F32)) {
            for (Method method : List.of(new RoundToNearest(), new Imatrix())) {
                assertThat(method.batches(scheme)).isFalse();
                try (Method.Batch batch = method.batch(recipe, hessians, device);
                        Method.Solver solver = method.solver(recipe, hessians.get(1), device)) {
                    assertThat(batch.quantize(List.of("a", "b"), weights, scheme)
                                    .get(1)
                                    .quantized()
                                    .codes())
                            .isEqualTo(solver.quantize("b", weights.get(1), scheme)
                                    .quantized()
                                    .codes());
                }
            }
        }
    }
}
