package quern.run.shard;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;
import quern.scheme.QuantizedLinear;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** A checksum of what quantized rows stand for: their codes and grids, whatever bytes a format makes of them. */
public final class CodesDigest {
    private final CRC32C codes = new CRC32C();
    private final CRC32C scales = new CRC32C();
    private final CRC32C zeros = new CRC32C();
    private float divisor;

    public static String of(QuantizedLinear quantized) {
        CodesDigest digest = new CodesDigest();
        digest.add(quantized);
        return digest.value();
    }

    /** Takes the next rows of the same linear. */
    void add(QuantizedLinear rows) {
        codes.update(rows.codes());
        scales.update(bytes(rows.scales()));
        zeros.update(bytes(rows.zeros()));
        divisor = rows.divisor();
    }

    String value() {
        return "%08x-%08x-%08x-%s".formatted(codes.getValue(), scales.getValue(), zeros.getValue(), divisor);
    }

    private static ByteBuffer bytes(float[] values) {
        return HalfFloats.fromFloats(values, DType.F32);
    }
}
