package quern.run.pass;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.Seeds;
import quern.method.Drift;
import quern.method.Statistics;
import quern.plan.Gathering;
import quern.store.LocalStore;
import quern.tensor.Matrix;

/** Of several parts, by way of tiles under keys, as on their way through a shuffle; and by way of a file. */
class StatisticsTest {
    private static final int N = 700; // more than a tile
    private static final int OUTPUTS = 530; // likewise

    @TempDir
    Path folder;

    @ParameterizedTest
    @CsvSource({"true, true, true", "true, false, false", "true, false, true", "false, true, false"})
    void parts_are_added_up(boolean hessians, boolean magnitudes, boolean drifts) {
        List<Statistics> parts = parts(hessians, magnitudes, drifts);
        List<PassTiles.PartTile> tiles = new ArrayList<>();
        for (int part = parts.size() - 1; part >= 0; part--) {
            for (Hessians.Tile tile : Hessians.tiles(parts.get(part))) {
                tiles.add(new PassTiles.PartTile(3, 5, part, tile));
            }
        }
        tiles.sort(Comparator.comparingLong(PassTiles.PartTile::key));
        Hessians.Sum sum = new Hessians.Sum(N, OUTPUTS, new Gathering(hessians, magnitudes, drifts));
        tiles.forEach(t -> sum.add(t.part(), t.tile()));

        Statistics all = sum.statistics();
        assertThat(all.tokens()).isEqualTo(10 + 11 + 12 + 13);
        Matrix products = all.sum();
        if (products == null) {
            assertThat(hessians).isFalse();
        } else {
            for (int i = 0; i < N; i++) {
                for (int j = 0; j < N; j++) {
                    int row = Math.max(i, j);
                    int col = Math.min(i, j);
                    float[] of = new float[parts.size()];
                    for (int part = 0; part < of.length; part++) {
                        of[part] = sumOf(parts.get(part)).at(row, col);
                    }
                    assertThat(products.at(i, j)).isEqualTo((of[0] + of[1]) + (of[2] + of[3]));
                }
            }
        }
        Drift drift = all.drift();
        if (drift == null) {
            assertThat(drifts).isFalse();
        } else {
            isSum(drift, parts, d -> d.inputsOnHost().values(), N * N);
            isSum(drift, parts, d -> Objects.requireNonNull(d.streamOnHost()).values(), OUTPUTS * N);
            isSum(drift, parts, Drift::squares, 2);
        }
        float[] largest = all.largest();
        if (largest == null) {
            assertThat(magnitudes).isFalse();
        } else {
            for (int i = 0; i < N; i++) {
                float expected = 0;
                for (Statistics part : parts) {
                    expected = Math.max(expected, Objects.requireNonNull(part.largest())[i]);
                }
                assertThat(largest[i]).isEqualTo(expected);
            }
        }
    }

    private static void isSum(Drift drift, List<Statistics> parts, Function<Drift, float[]> of, int size) {
        float[] sum = of.apply(drift);
        assertThat(sum).hasSize(size);
        for (int i = 0; i < size; i++) {
            float[] each = new float[parts.size()];
            for (int part = 0; part < each.length; part++) {
                each[part] = of.apply(Objects.requireNonNull(parts.get(part).drift()))[i];
            }
            assertThat(sum[i]).isEqualTo((each[0] + each[1]) + (each[2] + each[3]));
        }
    }

    @ParameterizedTest
    @CsvSource({"true, true", "true, false", "false, true"})
    void a_file_gives_them_back(boolean hessians, boolean magnitudes) throws Exception {
        Statistics written = parts(hessians, magnitudes, false).get(0);
        LocalStore store = new LocalStore(folder);
        StatisticsFile.write(store, "a/statistics.arrow", N, written);
        Statistics read = StatisticsFile.read(store, "a/statistics.arrow");
        assertThat(read.tokens()).isEqualTo(written.tokens());
        assertThat(read.largest()).isEqualTo(written.largest());
        assertThat(read.sum() == null ? null : read.sum().values())
                .isEqualTo(written.sum() == null ? null : written.sum().values());
    }

    private static Matrix sumOf(Statistics part) {
        return Objects.requireNonNull(part.sum());
    }

    private static List<Statistics> parts(boolean hessians, boolean magnitudes, boolean drifts) {
        Random random = Seeds.random();
        List<Statistics> parts = new ArrayList<>();
        for (int part = 0; part < 4; part++) {
            parts.add(Statistics.of(
                    10 + part,
                    hessians ? new Matrix(N, N, floats(N * N, random)) : null,
                    drifts
                            ? Drift.of(
                                    new Matrix(N, N, floats(N * N, random)),
                                    new Matrix(OUTPUTS, N, floats(OUTPUTS * N, random)),
                                    floats(2, random))
                            : null,
                    magnitudes ? floats(N, random) : null));
        }
        return parts;
    }

    private static float[] floats(int count, Random random) {
        float[] floats = new float[count];
        for (int i = 0; i < count; i++) {
            floats[i] = random.nextFloat();
        }
        return floats;
    }
}
