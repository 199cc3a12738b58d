package quern.model;

import org.jspecify.annotations.Nullable;
import quern.device.DeviceMatrix;
import quern.tensor.Matrix;

/** Sees the inputs of a layer's sites on their way through. */
public interface Tap {
    /**
     * Called once per site and batch, before the first of its linears; for an expert with the rows that it is sent, perhaps in
     * several runs one after the other, and not at all where there are none.
     *
     * @param x tokens x inputs, of the device's compute type or F32; the layer's own, only valid during the call
     * @param stream what the output of the site's only linear is added to as it is, tokens x outputs, F32, likewise; null where there are
     *     several linears, or something else becomes of it
     */
    void input(Site site, DeviceMatrix x, @Nullable DeviceMatrix stream);

    /**
     * Called once per batch and attention, with what a cache would keep.
     *
     * @param keys tokens x (heads * size), as they go into the scores
     * @param values tokens x (heads * size)
     */
    default void cached(int layer, DeviceMatrix keys, DeviceMatrix values) {}

    /**
     * Called once per batch and router.
     *
     * @param weights tokens x experts: what the outputs of experts weigh, 0 where a token does not go
     */
    default void routed(int layer, Matrix weights) {}
}
