package quern.method;

/**
 * The grids of some rows: scale and zero of each group.
 *
 * @param groups groups of a row
 * @param scales rows x groups
 * @param zeros rows x groups
 */
record Scales(int groups, float[] scales, byte[] zeros) {
    static Scales of(int rows, int groups) {
        return new Scales(groups, new float[rows * groups], new byte[rows * groups]);
    }

    int rows() {
        return scales.length / groups;
    }

    Scales copy() {
        return new Scales(groups, scales.clone(), zeros.clone());
    }
}
