package quern.device.cuda;

import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import quern.device.CodeValues;
import quern.device.Power;
import quern.tensor.DType;
import quern.tensor.Matrix;
import quern.tensor.StepFunction;

/** What kernels look up. Tables that were needed once stay on the device, and are closed with its arena: there are few. */
final class GridTables {
    private static final GridShapes.Tables WHOLE_NUMBERS = new GridShapes.Tables(0, 0);
    private static final int LEVELS = 256;

    private final CudaDevice device;
    private final Map<StepFunction, GridShapes.Tables> levels = new ConcurrentHashMap<>();
    private @Nullable CudaMatrix powers; // guarded by this

    GridTables(CudaDevice device) {
        this.device = device;
    }

    /** The values of a grid of levels, and the thresholds between them. */
    GridShapes.Tables of(CodeValues values) {
        StepFunction steps = values.levels();
        return steps == null ? WHOLE_NUMBERS : levels.computeIfAbsent(steps, this::uploaded);
    }

    private GridShapes.Tables uploaded(StepFunction steps) {
        if (steps.values().length > LEVELS) {
            throw new IllegalArgumentException("A grid of " + steps.values().length + " levels");
        }
        return new GridShapes.Tables(
                table(steps.values()).address(), table(steps.thresholds()).address());
    }

    /** The kernels read as many, whatever the grid has. */
    private CudaMatrix table(float[] values) {
        return device.own(device.upload(new Matrix(1, LEVELS, Arrays.copyOf(values, LEVELS)), DType.F32));
    }

    /** The address of {@link Power#table}. */
    synchronized long powers() {
        if (powers == null) {
            float[] table = Power.table();
            powers = device.own(device.upload(new Matrix(1, table.length, table), DType.F32));
        }
        return powers.address();
    }
}
