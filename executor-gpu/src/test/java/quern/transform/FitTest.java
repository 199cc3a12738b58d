package quern.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.method.Statistics;
import quern.model.Absorber;
import quern.model.Site;
import quern.scheme.ColumnOrder;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** The fits against the formulas of the papers, written naively over the tokens themselves. */
class FitTest {
    private static final int TOKENS = 96;
    private static final int INPUTS = 32;
    private static final int GROUP = 16;
    private static final Scheme SCHEME = new Scheme(4, GROUP, true, false, ColumnOrder.OFF, DType.F32);

    private final Random random = Seeds.random();
    private final double[][] x = tokens(); // tokens x inputs
    private final List<Transform.Sample> linears = List.of(linear("q", 24), linear("k", 8));

    /** Of which some channels are much larger than others. */
    private double[][] tokens() {
        double[][] tokens = new double[TOKENS][INPUTS];
        double[] sizes = random.doubles(INPUTS, -2, 2).map(Math::exp).toArray();
        for (double[] token : tokens) {
            double shared = random.nextGaussian();
            Arrays.setAll(token, i -> sizes[i] * (random.nextGaussian() + 0.5 * shared));
        }
        return tokens;
    }

    private Transform.Sample linear(String name, int rows) {
        float[] values = new float[rows * INPUTS];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return new Transform.Sample(name, new Matrix(rows, INPUTS, values), SCHEME);
    }

    private Statistics statistics() {
        Matrix sum = Matrix.zeros(INPUTS, INPUTS);
        float[] largest = new float[INPUTS];
        for (int i = 0; i < INPUTS; i++) {
            for (int j = 0; j < INPUTS; j++) {
                double products = 0;
                for (double[] token : x) {
                    products += token[i] * token[j];
                }
                sum.values()[i * INPUTS + j] = (float) products;
            }
            for (double[] token : x) {
                largest[i] = Math.max(largest[i], (float) Math.abs(token[i]));
            }
        }
        return Statistics.of(TOKENS, sum, largest);
    }

    private static Absorber absorber(int channels, int[] channelOfInput) {
        Site site = new Site(0, Site.SHARED, 0, "q", INPUTS, List.of());
        return new Absorber(site, 0, true, channels, channelOfInput, 0, List.of(), List.of());
    }

    private static Absorber own() {
        return absorber(INPUTS, IntStream.range(0, INPUTS).toArray());
    }

    @Test
    void smooth_quant_balances_the_largest_magnitudes() {
        try (Device device = Devices.open("java")) {
            float[] scales = new SmoothQuant().fit(own(), linears, statistics(), device);
            for (int j = 0; j < INPUTS; j++) {
                double ofX = 0;
                for (double[] token : x) {
                    ofX = Math.max(ofX, Math.abs(token[j]));
                }
                double ofW = 0;
                for (Transform.Sample linear : linears) {
                    for (int row = 0; row < linear.weight().rows(); row++) {
                        ofW = Math.max(ofW, Math.abs(linear.weight().at(row, j)));
                    }
                }
                assertThat((double) scales[j]).isCloseTo(Math.sqrt(ofX) / Math.sqrt(ofW), within(1e-5));
                // Which is what it is for: both have the same largest magnitude then.
                assertThat(ofX / scales[j]).isCloseTo(ofW * scales[j], within(1e-4));
            }
        }
    }

    @Test
    void awq_takes_the_best_of_its_candidates() {
        compareAwq(own());
    }

    /** Two heads of values of eight columns, each read by two heads. */
    @Test
    void awq_gives_one_factor_to_the_columns_of_a_channel() {
        int[] channels = new int[INPUTS];
        Arrays.setAll(channels, i -> i / 8 / 2 * 8 + i % 8);
        compareAwq(absorber(16, channels));
    }

    private void compareAwq(Absorber absorber) {
        float[] scales;
        try (Device device = Devices.open("java")) {
            scales = new Awq().fit(absorber, linears, statistics(), device);
        }
        double[] ones = new double[absorber.channels()];
        Arrays.fill(ones, 1);
        double unscaled = loss(ones, absorber);
        double least = unscaled;
        double nearest = Double.MAX_VALUE; // how far the scales are from those of a candidate
        for (int weighed = 0; weighed < 2; weighed++) {
            for (int step = 0; step < 20; step++) {
                double[] candidate = candidate(step / 20.0, weighed == 1, absorber);
                least = Math.min(least, loss(candidate, absorber));
                double off = 0;
                for (int c = 0; c < scales.length; c++) {
                    off = Math.max(off, Math.abs(scales[c] / candidate[c] - 1));
                }
                nearest = Math.min(nearest, off);
            }
        }
        assertThat(nearest).isLessThan(1e-4);
        assertThat(least).isLessThan(0.95 * unscaled);
        // A weight between two codes may go to the one in floats and to the other in doubles.
        double[] chosen = new double[scales.length];
        Arrays.setAll(chosen, c -> scales[c]);
        assertThat(loss(chosen, absorber)).isLessThan(1.02 * least);
    }

    /** s = x^r (/ w^(1 - r)), over sqrt(max s min s). */
    private double[] candidate(double ratio, boolean weighed, Absorber absorber) {
        int channels = absorber.channels();
        double[] s = new double[channels];
        for (int c = 0; c < channels; c++) {
            int channel = c;
            int[] columns = IntStream.range(0, INPUTS)
                    .filter(i -> absorber.channelOfInput()[i] == channel)
                    .toArray();
            double squares = 0;
            double sizes = 0;
            int rows = 0;
            for (int column : columns) {
                for (double[] token : x) {
                    squares += token[column] * token[column] / TOKENS / columns.length;
                }
                for (Transform.Sample linear : linears) {
                    for (int row = 0; row < linear.weight().rows(); row++, rows++) {
                        double largest = 0;
                        for (int i = column / GROUP * GROUP; i < (column / GROUP + 1) * GROUP; i++) {
                            largest = Math.max(largest, Math.abs(linear.weight().at(row, i)));
                        }
                        sizes += Math.abs(linear.weight().at(row, column)) / largest;
                    }
                }
            }
            s[c] = Math.pow(Math.sqrt(squares), ratio);
            if (weighed) {
                s[c] /= Math.pow(sizes / rows, 1 - ratio) + 1e-4;
            }
        }
        double middle = Math.sqrt(
                Arrays.stream(s).max().orElseThrow() * Arrays.stream(s).min().orElseThrow());
        return Arrays.stream(s).map(v -> v / middle).toArray();
    }

    /** |(Q(W s) / s - W) x|^2 over all tokens, with round-to-nearest by the largest weight of a group. */
    private double loss(double[] scales, Absorber absorber) {
        double loss = 0;
        for (Transform.Sample linear : linears) {
            for (int row = 0; row < linear.weight().rows(); row++) {
                double[] error = new double[INPUTS];
                for (int from = 0; from < INPUTS; from += GROUP) {
                    double largest = 0;
                    for (int i = from; i < from + GROUP; i++) {
                        largest = Math.max(largest, Math.abs(linear.weight().at(row, i) * of(scales, absorber, i)));
                    }
                    double step = largest / 7.5;
                    for (int i = from; i < from + GROUP; i++) {
                        double s = of(scales, absorber, i);
                        double w = linear.weight().at(row, i);
                        double code = Math.max(-8, Math.min(7, Math.rint(w * s / step)));
                        error[i] = code * step / s - w;
                    }
                }
                for (double[] token : x) {
                    double off = 0;
                    for (int i = 0; i < INPUTS; i++) {
                        off += error[i] * token[i];
                    }
                    loss += off * off;
                }
            }
        }
        return loss;
    }

    private static double of(double[] scales, Absorber absorber, int input) {
        return scales[absorber.channelOfInput()[input]];
    }
}
