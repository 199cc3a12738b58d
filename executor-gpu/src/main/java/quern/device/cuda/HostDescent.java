package quern.device.cuda;

import java.util.Objects;
import java.util.stream.IntStream;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.device.StoredScale;
import quern.device.cpu.CpuDevices;
import quern.tensor.DType;

/** The descent of a block by the plain loops of the CPU, for scales that are multiples of a unit, which no kernel fits. */
final class HostDescent {
    private final CudaDevice device;
    private final Device host = CpuDevices.plain();

    HostDescent(CudaDevice device) {
        this.device = device;
    }

    /** The block alone, with its group as the only one. */
    DeviceMatrix descend(
            CudaMatrix gradient,
            CudaMatrix hessian,
            int from,
            int to,
            Grids grids,
            int group,
            CudaMatrix codes,
            StoredScale stored) {
        Grids.Multiples multiples = Objects.requireNonNull(grids.multiples());
        CudaMatrix scales = device.own(grids.scales());
        int[] rows = IntStream.range(0, hessian.rows())
                .filter(row -> row % hessian.cols() >= from && row % hessian.cols() < to)
                .toArray();
        try (DeviceMatrix slope = toHost(gradient, from, to);
                DeviceMatrix rowsOfBlock = device.forward().rows(hessian, rows);
                DeviceMatrix curvature = toHost(device.own(rowsOfBlock), from, to);
                CudaMatrix before = device.columns(codes, from, to);
                DeviceMatrix chosen = host.upload(device.codes(before), before.rows(), before.cols());
                Grids one = new Grids(
                        grids.values(),
                        toHost(scales, group, group + 1),
                        toHost(device.own(grids.zeros()), group, group + 1),
                        onHost(multiples, group));
                DeviceMatrix change = host.solve().descend(slope, curvature, 0, to - from, one, 0, chosen, stored);
                DeviceMatrix fitted = device.upload(host.download(one.scales()), DType.F32);
                DeviceMatrix after = device.upload(host.codes(chosen), before.rows(), before.cols())) {
            put(device.own(fitted), scales, group);
            put(device.own(after), codes, from);
            return device.upload(host.download(change), DType.F32);
        }
    }

    private Grids.Multiples onHost(Grids.Multiples multiples, int group) {
        int block = group / multiples.groups();
        return new Grids.Multiples(
                toHost(device.own(multiples.units()), block, block + 1),
                multiples.groups(),
                multiples.lowest(),
                multiples.highest());
    }

    private DeviceMatrix toHost(CudaMatrix matrix, int from, int to) {
        try (CudaMatrix some = device.columns(matrix, from, to)) {
            return host.upload(device.download(some), DType.F32);
        }
    }

    /** Puts columns into a matrix of the same type, from {@code column} on. */
    private void put(CudaMatrix columns, CudaMatrix into, int column) {
        int each = into.dtype().bytes();
        long width = (long) columns.cols() * each;
        device.copyRuns(
                columns.address(), width, into.address(0, column), (long) into.cols() * each, width, into.rows());
    }
}
