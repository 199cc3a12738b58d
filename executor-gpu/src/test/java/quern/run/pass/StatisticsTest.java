package quern.run.pass;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.Seeds;
import quern.method.Statistics;
import quern.plan.Gathering;
import quern.store.LocalStore;
import quern.tensor.Matrix;

/** Of several parts, by way of tiles under keys, as on their way through a shuffle; and by way of a file. */
class StatisticsTest {
    private static final int N = 700; // more than a tile

    @TempDir
    Path folder;

    @ParameterizedTest
    @CsvSource({"true, true, true", "true, false, false", "true, false, true", "false, true, false"})
    void parts_are_added_up(boolean hessians, boolean magnitudes, boolean crosses) {
        List<Statistics> parts = parts(hessians, magnitudes, crosses);
        List<PassTiles.PartTile> tiles = new ArrayList<>();
        for (int part = parts.size() - 1; part >= 0; part--) {
            for (Hessians.Tile tile : Hessians.tiles(parts.get(part))) {
                tiles.add(new PassTiles.PartTile(3, 5, part, tile));
            }
        }
        tiles.sort(Comparator.comparingLong(PassTiles.PartTile::key));
        Hessians.Sum sum = new Hessians.Sum(N, new Gathering(hessians, magnitudes, crosses));
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
        Matrix cross = all.cross();
        if (cross == null) {
            assertThat(crosses).isFalse();
        } else {
            for (int i = 0; i < N * N; i++) {
                float[] of = new float[parts.size()];
                for (int part = 0; part < of.length; part++) {
                    of[part] = Objects.requireNonNull(parts.get(part).cross()).values()[i];
                }
                assertThat(cross.values()[i]).isEqualTo((of[0] + of[1]) + (of[2] + of[3]));
            }
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

    private static List<Statistics> parts(boolean hessians, boolean magnitudes, boolean crosses) {
        Random random = Seeds.random();
        List<Statistics> parts = new ArrayList<>();
        for (int part = 0; part < 4; part++) {
            parts.add(Statistics.of(
                    10 + part,
                    hessians ? new Matrix(N, N, floats(N * N, random)) : null,
                    crosses ? new Matrix(N, N, floats(N * N, random)) : null,
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
