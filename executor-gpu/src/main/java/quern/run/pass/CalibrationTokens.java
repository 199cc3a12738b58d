package quern.run.pass;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.util.List;
import quern.calibrate.RowFile;
import quern.plan.Plan;
import quern.run.workbench.RunFolder;
import quern.store.BlobStore;
import quern.tensor.DType;

/** The calibration tokens of a run: one Arrow file per part, one row per sequence. */
public final class CalibrationTokens {
    private CalibrationTokens() {}

    /** Writes the parts of a plan, further ones included; the windows are its sequences in order. */
    public static void write(BlobStore output, Plan plan, List<int[]> windows) throws IOException {
        for (Plan.Part part : plan.calibration().allParts()) {
            int length = plan.calibration().length();
            ByteBuffer rows = ByteBuffer.allocate(4 * part.count() * length).order(ByteOrder.LITTLE_ENDIAN);
            IntBuffer ids = rows.asIntBuffer();
            windows.subList(part.first(), part.first() + part.count()).forEach(ids::put);
            output.write(
                    new RunFolder(plan.id()).tokens(part.index()),
                    out -> RowFile.write(out, DType.I32, length, List.of(rows)));
        }
    }

    static List<int[]> read(BlobStore output, Plan plan, Plan.Part part) throws IOException {
        try (RowFile.Reader file = RowFile.open(output.open(new RunFolder(plan.id()).tokens(part.index())))) {
            int[][] rows = new int[part.count()][file.width()];
            IntBuffer ids = file.read(0).asIntBuffer();
            for (int[] row : rows) {
                ids.get(row);
            }
            return List.of(rows);
        }
    }
}
