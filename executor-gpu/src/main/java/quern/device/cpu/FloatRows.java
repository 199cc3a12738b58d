package quern.device.cpu;

import quern.device.DeviceMatrix;

/** A row-major F32 matrix, seen by runs of a row. A run may go on into the rows that follow. */
interface FloatRows extends DeviceMatrix {
    void read(int row, int col, int count, float[] to, int at);

    void write(int row, int col, int count, float[] from, int at);
}
