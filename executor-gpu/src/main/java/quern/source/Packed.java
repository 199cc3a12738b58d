package quern.source;

import java.util.List;
import java.util.stream.Stream;

/**
 * The weights of a model that are stored in few bits.
 *
 * @param description how, for a person: {@code gptq, 4 bits in groups of 128}
 * @param unused tensors that stand for no weight and are of use to nobody else
 */
record Packed(String description, List<PackedTensor> tensors, List<String> unused) {
    Packed {
        tensors = List.copyOf(tensors);
        unused = List.copyOf(unused);
    }

    /** The same with further tensors unused. */
    Packed without(List<String> more) {
        return new Packed(
                description,
                tensors,
                Stream.concat(unused.stream(), more.stream()).toList());
    }

    Packed(String description, List<PackedTensor> tensors) {
        this(description, tensors, List.of());
    }
}
