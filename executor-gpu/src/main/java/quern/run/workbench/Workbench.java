package quern.run.workbench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.device.Devices;
import quern.format.FixedScale;
import quern.format.Format;
import quern.format.Formats;
import quern.method.Method;
import quern.method.Methods;
import quern.model.Entry;
import quern.model.Model;
import quern.plan.Plan;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.transform.Transforms;

/**
 * What the tasks of one run share in one process: the source opened, the output, the device. Made once per process and run.
 */
public final class Workbench {
    private static final Map<String, Workbench> OPEN = new ConcurrentHashMap<>();

    private final Plan plan;
    private final Model original;
    private final Model model;
    private final BlobStore output;
    private final Device device;
    private final Layers layers;
    private final Semaphore passes;
    private final Semaphore solvers;
    private final Map<Long, Plan.SitePlan> sites; // pools included
    private @Nullable Entry entry;
    private @Nullable Checkpoint written;
    private @Nullable Model writtenModel;

    private Workbench(Plan plan, StoreOpener stores) throws IOException {
        this.plan = plan;
        this.original = Model.open(stores.open(plan.model()));
        this.output = stores.open(plan.output());
        this.model = Transforms.named(plan.recipe().transform()).applied(original, Fitting.vectors(plan, output));
        this.device = Devices.open(plan.device(), plan.computeType());
        if (!device.type().equals(plan.deviceType())) {
            throw new QuernException(("Cannot carry out plan %s on a device of type %s: it was made for %s, and other "
                            + "bytes would come out (plan again on this kind of machine)")
                    .formatted(plan.id(), device.type(), plan.deviceType()));
        }
        this.sites = Plan.SitePlan.byKey(Stream.concat(plan.sites().stream(), plan.pools(0, plan.layers()).stream())
                .toList());
        this.layers = new Layers(this);
        this.passes = new Semaphore(plan.onGpu() ? 1 : Integer.MAX_VALUE);
        this.solvers = new Semaphore(plan.onGpu() ? Plan.Cost.SOLVERS : Integer.MAX_VALUE);
    }

    /** The workbenches of several plans. */
    public static List<Workbench> of(List<Plan> plans, StoreOpener stores) {
        return plans.stream().map(plan -> of(plan, stores)).toList();
    }

    /** The workbench of this process for a plan; opened at the first call. */
    public static Workbench of(Plan plan, StoreOpener stores) {
        return OPEN.computeIfAbsent(plan.output() + "#" + plan.id(), key -> {
            try {
                return new Workbench(plan, stores);
            } catch (IOException e) {
                throw new UncheckedIOException("Cannot open " + plan.model() + ": " + e.getMessage(), e);
            }
        });
    }

    /** Forgets a finished run, so that its device memory and files are let go. */
    public static void release(Plan plan) {
        Workbench bench = OPEN.remove(plan.output() + "#" + plan.id());
        if (bench != null) {
            bench.closeEntry();
            bench.layers.close();
            bench.device.close();
        }
    }

    public Plan plan() {
        return plan;
    }

    /** The source as it is. */
    Model original() {
        return original;
    }

    /** The source with what the plan does to it first: what is quantized. */
    public Model model() {
        return model;
    }

    public BlobStore output() {
        return output;
    }

    /** The finished checkpoint, opened when it is first asked for: not before its last file is written. */
    public synchronized Checkpoint written() throws IOException {
        if (written == null) {
            written = Checkpoint.open(output);
        }
        return written;
    }

    /** The same as a model of its own, for containers whose tensors are not those of the format. */
    public synchronized Model writtenModel() throws IOException {
        if (writtenModel == null) {
            writtenModel = Model.open(output);
        }
        return writtenModel;
    }

    public Device device() {
        return device;
    }

    /** What parts go through. */
    public Layers layers() {
        return layers;
    }

    /** A permit for each pass that may be under way: stages that share a GPU take turns, for one fills it and its memory. */
    public Semaphore passes() {
        return passes;
    }

    /** A permit for each site that may be solved beside others. */
    public Semaphore solvers() {
        return solvers;
    }

    public RunFolder folder() {
        return new RunFolder(plan.id());
    }

    public Format format() {
        return Formats.named(plan.recipe().format());
    }

    /** How the scale of a linear's inputs is stored; null where calibration does not fix it. */
    public @Nullable FixedScale inputScale() {
        return plan.recipe().fixed().inputs() ? format().inputScale(model.weightType()) : null;
    }

    /** What stands in the header of each file beside the tensors. */
    public Map<String, String> metadata() {
        List<Format.LinearSpec> linears = plan.sites().stream()
                .flatMap(site -> site.linears().stream())
                .map(l -> new Format.LinearSpec(l.name(), l.outputs(), l.inputs(), l.scheme()))
                .toList();
        List<String> others = plan.shards().stream()
                .flatMap(shard -> shard.tensors().stream())
                .filter(tensor -> tensor.linear().isEmpty())
                .map(tensor -> tensor.spec().name())
                .toList();
        return format().metadata(linears, others, model.weightType());
    }

    public Method method() {
        return Methods.named(plan.recipe().method());
    }

    /** Loaded when it is first asked for: not by a plan that only solves what another gathers. */
    public synchronized Entry entry() throws IOException {
        if (entry == null) {
            entry = Entry.load(model, device);
        }
        return entry;
    }

    private synchronized void closeEntry() {
        if (entry != null) {
            entry.close();
        }
    }

    /** A site by its key. */
    public Plan.SitePlan site(long key) {
        return Objects.requireNonNull(sites.get(key));
    }

    /** This plan's own of a site that another plan gathers for; null where it has none there. */
    public Plan.@Nullable SitePlan site(Plan.SitePlan gathered) {
        return sites.get(gathered.key());
    }
}
