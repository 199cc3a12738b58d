package quern.plan;

import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import quern.format.Container;
import quern.format.Formats;
import quern.model.Site;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/**
 * Everything decided before a tensor is read. The same plan on the same type of device gives the same bytes, whoever
 * carries it out.
 *
 * @param id names the run: a hash of what the bytes depend on
 * @param model where the source is
 * @param output where the result goes; the run's own files are below {@code _quern/id} there
 * @param gathering what calibration has to tell
 * @param lossy in which way the source was quantized already, for a person; null where it was not
 * @param device the name of the device, in {@code Devices}
 * @param deviceType what the device's bits depend on
 * @param computeType operands of matrix products, and how activations are stored between passes
 * @param stages runs of consecutive layers, side by side; one is {@link Propagation#EXACT}
 * @param sites what is quantized, layer by layer
 * @param kept what is not, inside the layers
 * @param calibration the tokens; none for methods without a Hessian
 * @param shards the files to write
 * @param cost what it takes
 */
public record Plan(
        String id,
        String model,
        String output,
        Recipe recipe,
        Gathering gathering,
        @Nullable String lossy,
        String device,
        String deviceType,
        DType computeType,
        Propagation propagation,
        List<Stage> stages,
        List<SitePlan> sites,
        List<Kept> kept,
        Calibration calibration,
        List<Shard> shards,
        Cost cost)
        implements Serializable {

    public Plan {
        stages = List.copyOf(stages);
        sites = List.copyOf(sites);
        kept = List.copyOf(kept);
        shards = List.copyOf(shards);
    }

    /** The same plan with its source elsewhere: the bytes do not depend on where it is. */
    public Plan from(String elsewhere) {
        return new Plan(
                id,
                elsewhere,
                output,
                recipe,
                gathering,
                lossy,
                device,
                deviceType,
                computeType,
                propagation,
                stages,
                sites,
                kept,
                calibration,
                shards,
                cost);
    }

    /** Of all linears. */
    public Schemes schemes() {
        Map<String, Scheme> linears = new LinkedHashMap<>();
        sites.forEach(site -> site.linears().forEach(linear -> linears.put(linear.name(), linear.scheme())));
        return Schemes.of(linears);
    }

    /**
     * What gathers for several plans of one model and one calibration, which are then carried out side by side: the first plan with
     * the sites of all and with what any of them has to be told. Its files are its own, in the output of the first.
     */
    public static Plan together(List<Plan> plans) {
        Plan first = plans.get(0);
        if (plans.size() == 1) {
            return first;
        }
        if (!first.layerParallel() && first.layers() > 1) {
            throw new IllegalArgumentException(
                    "The layers of several plans cannot wait for the quantized layers before them");
        }
        Map<Long, SitePlan> sites = new TreeMap<>();
        Gathering gathering = first.gathering;
        for (Plan plan : plans) {
            gathering = gathering.and(plan.gathering);
            for (SitePlan site : plan.sites) {
                sites.merge((long) site.layer() << 32 | site.index(), site, SitePlan::and);
            }
        }
        int others = plans.stream().map(Plan::id).toList().hashCode();
        return new Plan(
                first.id + "-%08x".formatted(others),
                first.model,
                first.output,
                first.recipe,
                gathering,
                first.lossy,
                first.device,
                first.deviceType,
                first.computeType,
                first.propagation,
                first.stages,
                List.copyOf(sites.values()),
                first.kept,
                first.calibration,
                List.of(),
                first.cost);
    }

    /** Of one site. */
    public Gathering gathering(SitePlan site) {
        if (site.isCache()) {
            return Gathering.MAGNITUDES;
        }
        boolean first = site.rank() == 0 && stages.stream().anyMatch(stage -> stage.begin() == site.layer());
        return site.drifts() && !first ? gathering : gathering.withoutDrifts();
    }

    /** What the output's tensors are put in. */
    public Container container() {
        return Formats.named(recipe.format()).container();
    }

    /** Whether it goes from file to file: nothing has to be gathered, and a file's tensors are those that the format packs. */
    public boolean casts() {
        return !gathering.any() && Formats.named(recipe.format()).casts();
    }

    public int layers() {
        return stages.get(stages.size() - 1).end();
    }

    /** Whether tasks compute on GPUs, one on each at a time. */
    public boolean onGpu() {
        return cost.devices() > 0;
    }

    /** The most that experts which are solved together take. */
    public long batchBytes() {
        return onGpu() ? Cost.BATCH_ON_GPU : Cost.BATCH;
    }

    /** Whether every layer is a stage by itself: one pass with taps gathers all Hessians. */
    public boolean layerParallel() {
        return stages.size() > 1 && stages.size() == layers();
    }

    /** The sites of layers [from, to). */
    public List<SitePlan> sites(int from, int to) {
        return sites.stream().filter(s -> s.layer() >= from && s.layer() < to).toList();
    }

    /**
     * For each step of the experts of layers [from, to) a site without linears, whose Hessian is the sum of theirs: what an expert that
     * few tokens reach is shrunk toward.
     */
    public List<SitePlan> pools(int from, int to) {
        Map<Long, SitePlan> pools = new TreeMap<>();
        for (SitePlan site : sites(from, to)) {
            if (site.ofExpert()) {
                pools.putIfAbsent((long) site.layer() << 32 | site.rank(), site.pool());
            }
        }
        return List.copyOf(pools.values());
    }

    /** The ranks of a layer's sites, in order. */
    public List<Integer> ranks(int layer) {
        return sites(layer, layer + 1).stream()
                .map(SitePlan::rank)
                .distinct()
                .sorted()
                .toList();
    }

    /** Layers [begin, end). */
    public record Stage(int begin, int end) implements Serializable {}

    /**
     * @param layer its layer
     * @param index its place among the layer's sites
     * @param expert whose it is, or {@link quern.model.Site#SHARED}
     * @param rank its place among the steps of the layer; sites of one rank are taken together
     * @param inputs columns of each of its linears, and size of the Hessian
     * @param linears what shares the input
     * @param fitted whether the recipe's transform is fitted to the input
     */
    public record SitePlan(
            int layer,
            int index,
            int expert,
            int rank,
            String name,
            int inputs,
            List<LinearPlan> linears,
            boolean fitted)
            implements Serializable {
        /** Of what no transform is fitted to. */
        public SitePlan(int layer, int index, int expert, int rank, String name, int inputs, List<LinearPlan> linears) {
            this(layer, index, expert, rank, name, inputs, linears, false);
        }

        /** Added to a rank, the index of a pool: more than a layer has sites. */
        private static final int POOLS = 1 << 13;

        /** The index of what a cache keeps, behind all pools. */
        private static final int CACHE = 2 * POOLS - 1;

        /**
         * Keys and values of a layer, as two inputs that no linear has; the statistics have the largest of either.
         *
         * @param module that holds them, by its full name
         */
        static SitePlan cache(int layer, String module) {
            return new SitePlan(layer, CACHE, Site.SHARED, 0, module, 2, List.of());
        }

        public boolean isCache() {
            return index == CACHE;
        }

        /** Identifies it among all layers; sorts by layer, then by index. */
        public long key() {
            return key(layer, index);
        }

        public static long key(int layer, int index) {
            return (long) layer * 2 * POOLS + index;
        }

        public static Map<Long, SitePlan> byKey(List<SitePlan> sites) {
            return sites.stream().collect(Collectors.toMap(SitePlan::key, site -> site));
        }

        /**
         * Bytes of a batch that are its own: the sum, H and R with copies for the stack, and five matrices like the largest weight,
         * in fp32.
         */
        public long solveBytes() {
            long outputs = linears.stream().mapToLong(LinearPlan::outputs).max().orElse(0);
            return 4L * 5 * inputs * (inputs + outputs);
        }

        /**
         * Whether its inputs are compared with those in full precision, where other linears come before it. An expert's are left as they come:
         * which tokens it is sent depends on these too.
         */
        boolean drifts() {
            return !ofExpert() && !isPool() && !isCache();
        }

        /** Outputs that may be added to what drifts, too: those of an only linear. */
        public int added() {
            return linears.size() == 1 ? linears.get(0).outputs() : 0;
        }

        private SitePlan pool() {
            return new SitePlan(layer, POOLS + rank, Site.SHARED, rank, "all experts", inputs, List.of(), false);
        }

        /** With the linears of both. */
        private SitePlan and(SitePlan other) {
            Map<String, LinearPlan> both = new LinkedHashMap<>();
            linears.forEach(l -> both.put(l.name(), l));
            other.linears.forEach(l -> both.putIfAbsent(l.name(), l));
            return new SitePlan(
                    layer, index, expert, rank, name, inputs, List.copyOf(both.values()), fitted || other.fitted);
        }

        /** Whether it stands for the same site of all experts, see {@link Plan#pools}. */
        public boolean isPool() {
            return index >= POOLS && index < CACHE;
        }

        /** Whether only the tokens that a router sends there reach it. */
        public boolean ofExpert() {
            return expert != Site.SHARED;
        }

        public SitePlan {
            linears = List.copyOf(linears);
        }
    }

    /**
     * What stays as it is.
     *
     * @param name full name of a linear, or {@code name.*} for all that is in a module of this name
     * @param reason for a person: why
     */
    public record Kept(String name, String reason) implements Serializable {
        /** Of a router, and of the gate of a shared expert. */
        public static final String ROUTES = "it decides where tokens go, and is small";
    }

    /** @param scheme what its codes mean */
    public record LinearPlan(String name, int outputs, int inputs, Scheme scheme) implements Serializable {}

    /**
     * @param source what the user named
     * @param sha256 of the token ids as little-endian 32-bit numbers
     * @param sequences how many
     * @param length tokens in each
     * @param batch sequences of one forward batch
     * @param parts fixed slices of the sequences
     * @param wave layers of one pass with taps where every layer is a stage by itself
     * @param further sequences behind these
     */
    public record Calibration(
            String source,
            String sha256,
            int sequences,
            int length,
            int batch,
            List<Part> parts,
            int wave,
            Further further)
            implements Serializable {
        public static final Calibration NONE = new Calibration("none", "", 0, 0, 1, List.of(), 1, Further.NONE);

        public Calibration {
            parts = List.copyOf(parts);
        }

        /** All parts, those of further sequences included. */
        public List<Part> allParts() {
            return Stream.concat(parts.stream(), further.rounds().stream().flatMap(List::stream))
                    .toList();
        }

        public long tokens() {
            return (long) sequences * length;
        }
    }

    /**
     * Sequences that are drawn on only for experts that too few tokens reached.
     *
     * @param sha256 of their token ids
     * @param rounds slices of them: each round is drawn on if those before it were not enough
     */
    public record Further(String sha256, List<List<Part>> rounds) implements Serializable {
        public static final Further NONE = new Further("", List.of());

        public Further {
            rounds = rounds.stream().map(List::copyOf).toList();
        }

        public int sequences() {
            return rounds.stream().flatMap(List::stream).mapToInt(Part::count).sum();
        }
    }

    /** Sequences [first, first + count). */
    public record Part(int index, int first, int count) implements Serializable {
        /** Cuts sequences from {@code from} on. */
        static List<Part> cut(int from, int sequences, int parts, int firstIndex) {
            return IntStream.range(0, parts)
                    .mapToObj(p -> {
                        int first = start(p, parts, sequences);
                        return new Part(firstIndex + p, from + first, start(p + 1, parts, sequences) - first);
                    })
                    .toList();
        }

        private static int start(int part, int parts, int sequences) {
            return (int) Math.round((double) part * sequences / parts);
        }
    }

    /** One output file and its tensors, in order. */
    public record Shard(String file, List<ShardTensor> tensors) implements Serializable {
        public Shard {
            tensors = List.copyOf(tensors);
        }

        public long bytes() {
            return tensors.stream().mapToLong(t -> t.spec().bytes()).sum();
        }
    }

    /**
     * @param packed what it is made of, one after the other: the tensor of a quantized linear, or those of all experts; none for a
     *     tensor that is copied from the source
     */
    public record ShardTensor(TensorSpec spec, List<Packed> packed) implements Serializable {
        public ShardTensor {
            packed = List.copyOf(packed);
        }

        /** @param linear the quantized linear that it belongs to, or empty for a tensor that is copied from the source */
        public ShardTensor(TensorSpec spec, String linear) {
            this(spec, linear.isEmpty() ? List.of() : List.of(new Packed(linear, spec.name())));
        }

        /** The first linear that it belongs to; empty for a tensor that is copied. */
        public String linear() {
            return packed.isEmpty() ? "" : packed.get(0).linear();
        }
    }

    /**
     * A tensor of a piece.
     *
     * @param linear the quantized linear that it belongs to
     * @param tensor its name there
     */
    public record Packed(String linear, String tensor) implements Serializable {}

    /**
     * @param slots tasks at a time that the estimate assumes
     * @param devices GPUs when it was planned; 0 where tasks compute on the host
     * @param gflops measured on the planning machine, per slot
     * @param seconds what the run should take
     * @param memory per executor slot, by term
     * @param together parts that a task may take through a pass side by side, a power of two: more than one on a device with memory of
     *     its own
     * @param readBytes from the source
     * @param writtenBytes to the output, the run's own files included
     */
    public record Cost(
            int slots,
            int devices,
            double gflops,
            double seconds,
            List<Term> memory,
            int together,
            long readBytes,
            long writtenBytes)
            implements Serializable {
        /** Sites that are solved beside each other, and beside a pass, where one device does both. */
        public static final int SOLVERS = 3;

        /** Bytes of a batch of experts: what fills a GPU, whose kernels one small expert leaves idle. */
        static final long BATCH_ON_GPU = 1L << 30;

        /** On a CPU, a core's cache: small experts share calls, and the steps of larger batches wait for memory. */
        static final long BATCH = 2L << 20;

        public Cost {
            memory = List.copyOf(memory);
        }

        public long memoryBytes() {
            return memory.stream().mapToLong(Term::bytes).sum();
        }
    }

    public record Term(String name, long bytes) implements Serializable {}
}
