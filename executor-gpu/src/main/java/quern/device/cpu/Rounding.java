package quern.device.cpu;

import quern.device.Grids;

/** Between weights and codes on given grids, a row at a time. */
final class Rounding {
    private final FloatRows weights;
    private final FloatRows scales;
    private final FloatRows zeros;
    private final GridTile values;
    private final int[] groupOfColumn;
    private final float[] ofGroup;
    private final float[] line; // of each column of a row:
    private final float[] scale;
    private final float[] zero;

    Rounding(FloatRows weights, Grids grids, int[] groupOfColumn) {
        this.weights = weights;
        this.groupOfColumn = groupOfColumn;
        scales = (FloatRows) grids.scales();
        zeros = (FloatRows) grids.zeros();
        values = new GridTile(grids, 0, 0);
        ofGroup = new float[grids.groups()];
        line = new float[weights.cols()];
        scale = new float[weights.cols()];
        zero = new float[weights.cols()];
    }

    /** The nearest codes. */
    void round(HeapCodes codes) {
        for (int row = 0; row < weights.rows(); row++) {
            read(row);
            for (int i = 0; i < line.length; i++) {
                line[i] /= scale[i];
            }
            values.round(line, zero, line.length);
            for (int i = 0, at = codes.at(row, 0); i < line.length; i++, at++) {
                codes.values()[at] = values.code(line[i], zero[i]);
            }
        }
    }

    /** Weights less what codes stand for. */
    void error(HeapCodes codes, FloatRows error) {
        for (int row = 0; row < weights.rows(); row++) {
            read(row);
            for (int i = 0, at = codes.at(row, 0); i < line.length; i++, at++) {
                line[i] -= scale[i] * values.value(codes.values()[at], zero[i]);
            }
            error.write(row, 0, line.length, line, 0);
        }
    }

    private void read(int row) {
        weights.read(row, 0, line.length, line, 0);
        spread(scales, row, scale);
        spread(zeros, row, zero);
    }

    private void spread(FloatRows matrix, int row, float[] into) {
        matrix.read(row, 0, ofGroup.length, ofGroup, 0);
        for (int i = 0; i < into.length; i++) {
            into[i] = ofGroup[groupOfColumn[i]];
        }
    }
}
