package quern.run.pass;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.calibrate.RowFile;
import quern.method.Statistics;
import quern.store.BlobStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * The statistics of a site as a file in the run's folder: the rows of the sum of products, if it was asked for, in batches; a batch
 * with the largest magnitudes, or without a row; a row that holds the number of tokens in its first columns.
 */
final class StatisticsFile {
    /** Rows of a batch: about 4 MiB of a Hessian of 4096 inputs. */
    private static final int BATCH = 256;

    private StatisticsFile() {}

    /** @param n inputs of the site */
    static void write(BlobStore output, String file, int n, Statistics statistics) throws IOException {
        List<ByteBuffer> batches = new ArrayList<>();
        Matrix sum = statistics.sum();
        for (int row = 0; sum != null && row < n; row += BATCH) {
            float[] rows = new float[Math.min(BATCH, n - row) * n];
            System.arraycopy(sum.values(), row * n, rows, 0, rows.length);
            batches.add(HalfFloats.fromFloats(rows, DType.F32));
        }
        float[] largest = statistics.largest();
        batches.add(HalfFloats.fromFloats(largest == null ? new float[0] : largest, DType.F32));
        ByteBuffer tokens = HalfFloats.fromFloats(new float[n], DType.F32);
        tokens.putLong(tokens.position(), statistics.tokens());
        batches.add(tokens);
        output.write(file, out -> RowFile.write(out, DType.F32, n, batches));
    }

    static Statistics read(BlobStore output, String file) throws IOException {
        try (RowFile.Reader reader = RowFile.open(output.open(file))) {
            int n = reader.width();
            int products = reader.batches() - 2;
            @Nullable Matrix sum = products == 0 ? null : Matrix.zeros(n, n);
            int at = 0;
            for (int b = 0; sum != null && b < products; b++) {
                ByteBuffer rows = reader.read(b);
                int count = rows.remaining() / DType.F32.bytes();
                HalfFloats.toFloats(rows, DType.F32, sum.values(), at, count);
                at += count;
            }
            ByteBuffer row = reader.read(products);
            float @Nullable [] largest = row.hasRemaining() ? HalfFloats.toFloats(row, DType.F32, n) : null;
            ByteBuffer tokens = reader.read(products + 1);
            return Statistics.of(tokens.getLong(tokens.position()), sum, largest);
        }
    }
}
