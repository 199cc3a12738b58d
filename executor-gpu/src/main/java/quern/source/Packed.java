package quern.source;

import java.util.List;

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

    Packed(String description, List<PackedTensor> tensors) {
        this(description, tensors, List.of());
    }
}
