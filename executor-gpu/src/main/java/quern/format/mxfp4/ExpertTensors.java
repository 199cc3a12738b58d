package quern.format.mxfp4;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * Blocks and scales of one expert as matrices, from a piece, where they are tensors, or from a checkpoint, where they are slices.
 *
 * @param linear {@code P.3}, of which a checkpoint has {@code P_blocks}
 */
record ExpertTensors(TensorSource stored, String linear) implements TensorSource {
    @Override
    public Set<String> names() {
        return Stream.of(".blocks", ".scales")
                .filter(suffix -> stored.names().contains(where(suffix).tensor()))
                .map(suffix -> linear + suffix)
                .collect(Collectors.toUnmodifiableSet());
    }

    @Override
    public TensorSpec spec(String name) {
        Slice slice = where(name.substring(linear.length()));
        TensorSpec whole = stored.spec(slice.tensor());
        List<Long> shape = slice.of(whole);
        if (name.endsWith(".blocks") && shape.size() == 3) { // bytes of a row, whatever group they are of
            shape = List.of(shape.get(0), Math.multiplyExact(shape.get(1), shape.get(2)));
        }
        return new TensorSpec(name, whole.dtype(), shape);
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        return read(name, 0, Math.toIntExact(spec(name).bytes()));
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        Slice slice = where(name.substring(linear.length()));
        long first = slice.expert() * spec(name).bytes();
        return stored.read(slice.tensor(), first + offset, length);
    }

    private Slice where(String suffix) {
        int dot = linear.lastIndexOf('.');
        String number = linear.substring(dot + 1);
        return stored.names().contains(linear + suffix) || !number.matches("\\d{1,6}")
                ? new Slice(linear + suffix, Slice.ALL)
                : new Slice(linear.substring(0, dot) + suffix.replace('.', '_'), Integer.parseInt(number));
    }

    /** @param number of the expert, or {@link #ALL} of the tensor */
    private record Slice(String tensor, int number) {
        static final int ALL = -1;

        long expert() {
            return Math.max(0, number);
        }

        List<Long> of(TensorSpec whole) {
            List<Long> shape = whole.shape();
            if (number == ALL) {
                return shape;
            }
            if (whole.dtype() != DType.U8 || shape.size() < 3 || shape.get(0) <= number) {
                throw new QuernException(
                        "Cannot read %s: it is %s %s, which has no expert %d (the file is damaged; download it or quantize it again)"
                                .formatted(tensor, whole.dtype(), shape, number));
            }
            return shape.subList(1, shape.size());
        }
    }
}
