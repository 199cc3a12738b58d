package quern.model;

import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;

/** What an {@link Operation} is given to compute one step. */
interface Call {
    Step step();

    ModelConfig config();

    Device device();

    default ForwardKernels kernels() {
        return device().forward();
    }

    /** tokens x columns. */
    DeviceMatrix operand(int i);

    /** The module's weight: prepared for a linear, 1 x columns F32 for a norm, a table for positions. */
    DeviceMatrix weight();

    /** 1 x outputs F32. */
    @Nullable
    DeviceMatrix bias();

    /** The number that the config has for a key. */
    float number(String key);

    /** What else stands beside the module's weight. */
    float[] numbers();

    /** Tokens of a sequence. */
    int length();

    RotaryTables tables();

    AttentionShape attention();

    /** heads x length, or none. */
    @Nullable
    DeviceMatrix scoreBias();

    /** The type of the result. */
    DType to();

    /** Operand 0 normed over runs of {@code width} columns. */
    default DeviceMatrix norm(int width) {
        ModelConfig.Norm norm = config().norm();
        return norm.layer()
                ? kernels().layerNorm(operand(0), weight(), bias(), width, norm.eps(step().module()), to())
                : kernels().rmsNorm(operand(0), weight(), width, norm.eps(step().module()), norm.offset(), to());
    }
}
