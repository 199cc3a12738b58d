package quern.model;

import quern.device.DeviceMatrix;

/** Sees the inputs of a layer's sites on their way through. */
public interface Tap {
    /**
     * Called once per site and forward, before the first of its linears.
     *
     * @param x tokens x inputs, of the device's compute type or F32; the layer's own, only valid during the call
     */
    void input(Site site, DeviceMatrix x);
}
