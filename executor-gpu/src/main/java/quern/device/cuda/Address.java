package quern.device.cuda;

import jcuda.driver.CUdeviceptr;

/** A place in device memory, as the driver API's calls want it; everyone else counts in longs. */
final class Address extends CUdeviceptr {
    /** None yet: for a call that says one. */
    Address() {}

    Address(long address) {
        super(new CUdeviceptr(), address);
    }

    long value() {
        return getNativePointer() + getByteOffset();
    }
}
