package quern.model;

import org.jspecify.annotations.Nullable;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;

/** What an {@link Operation} is given to compute one step of one layer. */
interface Call {
    Step step();

    ModelConfig config();

    ForwardKernels kernels();

    /** tokens x columns. */
    DeviceMatrix operand(int i);

    /** The module's weight: prepared for a linear, 1 x columns F32 for a norm. */
    DeviceMatrix weight();

    /** 1 x outputs F32. */
    @Nullable
    DeviceMatrix bias();

    RotaryTables tables();

    AttentionShape attention();

    /** The type of the result. */
    DType to();

    /** Operand 0 normed over runs of {@code width} columns. */
    default DeviceMatrix norm(int width) {
        return kernels().rmsNorm(operand(0), weight(), width, config().normEps(), config().normOffset(), to());
    }
}
