package quern.run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import quern.calibrate.RowFile;
import quern.method.Hessian;
import quern.store.BlobStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/** A Hessian as a file in the run's folder: its rows, and one more that holds the number of tokens in its first columns. */
final class HessianFile {
    /** Rows of a batch: about 4 MiB of a Hessian of 4096 inputs. */
    private static final int BATCH = 256;

    private HessianFile() {}

    static void write(BlobStore output, String file, Hessian hessian) throws IOException {
        int n = hessian.sum().cols();
        List<ByteBuffer> batches = new ArrayList<>();
        for (int row = 0; row < n; row += BATCH) {
            float[] rows = new float[Math.min(BATCH, n - row) * n];
            System.arraycopy(hessian.sum().values(), row * n, rows, 0, rows.length);
            batches.add(HalfFloats.fromFloats(rows, DType.F32));
        }
        ByteBuffer tokens = HalfFloats.fromFloats(new float[n], DType.F32);
        tokens.putLong(tokens.position(), hessian.tokens());
        batches.add(tokens);
        output.write(file, out -> RowFile.write(out, DType.F32, n, batches));
    }

    /** The sum, over the tokens of both. */
    static Hessian plus(Hessian a, Hessian b) {
        Matrix sum = a.sum().copy();
        for (int i = 0; i < sum.values().length; i++) {
            sum.values()[i] += b.sum().values()[i];
        }
        return new Hessian(sum, a.tokens() + b.tokens());
    }

    static Hessian read(BlobStore output, String file) throws IOException {
        try (RowFile.Reader reader = RowFile.open(output.open(file))) {
            int n = reader.width();
            Matrix sum = Matrix.zeros(n, n);
            int last = reader.batches() - 1;
            int at = 0;
            for (int b = 0; b < last; b++) {
                ByteBuffer rows = reader.read(b);
                int count = rows.remaining() / DType.F32.bytes();
                HalfFloats.toFloats(rows, DType.F32, sum.values(), at, count);
                at += count;
            }
            ByteBuffer tokens = reader.read(last);
            return new Hessian(sum, tokens.getLong(tokens.position()));
        }
    }
}
