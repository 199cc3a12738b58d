package quern.format.gguf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;
import quern.scheme.Blocks;
import quern.scheme.QuantizedLinear;
import quern.scheme.QuantizedLinear.Units;
import quern.scheme.Scheme;
import quern.tensor.HalfFloats;

/** Between the codes of a linear and the blocks of a type. */
final class BlockPacking {
    private final GgufType type;
    private final BlockLayout layout;
    private final Scheme scheme;
    private final Blocks blocks;
    private final int size; // values of a block

    BlockPacking(Scheme scheme) {
        type = GgufType.of(scheme);
        layout = type.layout();
        this.scheme = scheme;
        blocks = Objects.requireNonNull(scheme.blocks());
        size = scheme.groupSize() * blocks.groups();
    }

    /** Rows one after the other, each whole blocks. */
    ByteBuffer pack(QuantizedLinear q) {
        int count = q.codes().length / size;
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(type.bytes(q.codes().length)))
                .order(ByteOrder.LITTLE_ENDIAN);
        for (int block = 0; block < count; block++) {
            int at = Math.toIntExact(type.bytes((long) block * size));
            for (int i = 0; i < size; i++) {
                layout.code().put(bytes, at, i, q.codes()[block * size + i] & 0xff ^ codeSign());
            }
            if (blocks.nested()) {
                packUnits(q, block, bytes, at);
            } else {
                bytes.putShort(at + layout.unit(), HalfFloats.toF16(q.scales()[block]));
                if (blocks.minima()) {
                    bytes.putShort(at + layout.minimum(), HalfFloats.toF16(-q.zeros()[block] * q.scales()[block]));
                }
            }
        }
        return bytes;
    }

    private void packUnits(QuantizedLinear q, int block, ByteBuffer bytes, int at) {
        float unit = q.units().scales()[block];
        bytes.putShort(at + layout.unit(), HalfFloats.toF16(unit));
        if (blocks.minima()) {
            bytes.putShort(at + layout.minimum(), HalfFloats.toF16(q.units().minima()[block]));
        }
        for (int g = 0; g < blocks.groups(); g++) {
            float scale = q.scales()[block * blocks.groups() + g];
            int multiple = Math.round(scale / unit);
            layout.scale().put(bytes, at, g, multiple - blocks.lowest() ^ layout.signBit());
            if (blocks.minima() && q.units().minima()[block] != 0) {
                float minimum = q.zeros()[block * blocks.groups() + g] * scale;
                int ofMinimum = Math.round(minimum / q.units().minima()[block]);
                layout.minimumMultiple().put(bytes, at, g, ofMinimum);
            }
        }
    }

    /** @param bytes from its position on */
    QuantizedLinear unpack(ByteBuffer bytes, int outputs, int inputs) {
        byte[] codes = new byte[Math.multiplyExact(outputs, inputs)];
        int count = codes.length / size;
        float[] scales = new float[count * blocks.groups()];
        float[] zeros = new float[scales.length];
        Units units = blocks.nested() ? Units.of(blocks, count) : Units.NONE;
        for (int block = 0; block < count; block++) {
            int at = bytes.position() + Math.toIntExact(type.bytes((long) block * size));
            for (int i = 0; i < size; i++) {
                codes[block * size + i] = (byte) (layout.code().get(bytes, at, i) ^ codeSign());
            }
            float unit = HalfFloats.fromF16(bytes.getShort(at + layout.unit()));
            float minimum = blocks.minima() ? HalfFloats.fromF16(bytes.getShort(at + layout.minimum())) : 0;
            if (blocks.nested()) {
                units.scales()[block] = unit;
                if (blocks.minima()) {
                    units.minima()[block] = minimum;
                }
            }
            for (int g = 0; g < blocks.groups(); g++) {
                int of = block * blocks.groups() + g;
                int multiple =
                        blocks.nested() ? (layout.scale().get(bytes, at, g) ^ layout.signBit()) + blocks.lowest() : 1;
                scales[of] = unit * multiple;
                float taken =
                        blocks.nested() ? minimum * layout.minimumMultiple().get(bytes, at, g) : -minimum;
                zeros[of] = blocks.minima() ? taken / scales[of] : scheme.middle();
            }
        }
        return new QuantizedLinear(
                scheme,
                outputs,
                inputs,
                codes,
                scales,
                zeros,
                QuantizedLinear.runs(inputs, scheme.groupSize()),
                1,
                units);
    }

    private int codeSign() {
        return blocks.nested() ? 0 : layout.signBit();
    }
}
