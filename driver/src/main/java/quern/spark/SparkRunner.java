package quern.spark;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.resource.ResourceProfile;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.DeviceOutOfMemory;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.run.PlanRunner;
import quern.run.pass.Batches;
import quern.run.pass.Gathered;
import quern.run.pass.Hessians;
import quern.run.pass.Parts;
import quern.run.pass.PassSolve;
import quern.run.pass.PassTiles;
import quern.run.pass.SiteTasks;
import quern.run.workbench.Done;
import quern.run.workbench.Pass;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.StoreOpener;
import quern.run.workbench.Workbench;
import scala.Tuple2;
import scala.collection.BufferedIterator;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Carries a plan out on Spark. A pass is one job with one shuffle: the map side takes parts through the layers and emits
 * tiles of Hessians, keyed so that the sort of the shuffle is the order of the parts; the reduce side has one partition per
 * site or some small ones, which adds up, factors, quantizes and writes. A GPU takes as many parts together as leave each GPU some;
 * where it is the only one, a pass is one task, whose Hessians stay where they are. No tensor passes through the driver: results are
 * manifests.
 */
public final class SparkRunner implements PlanRunner {
    private final JavaSparkContext spark;
    private final StoreOpener stores;
    private final @Nullable ResourceProfile profile;
    private final Map<String, Shared<Plan>> plans = new ConcurrentHashMap<>();

    public SparkRunner(JavaSparkContext spark, StoreOpener stores) {
        this.spark = spark;
        this.stores = stores;
        this.profile = GpuProfile.of(spark);
    }

    @Override
    public String name() {
        return spark.master();
    }

    @Override
    public void calibrate(
            Plan plan, List<Plan> solved, Pass pass, Stopwatch watch, Done<SiteManifest> done, Runnable left)
            throws IOException {
        Parts.whereTheyFit(
                together(plan, pass),
                watch,
                done,
                (some, once) -> calibrate(
                        plan, solved, pass, new ArrayList<>(Parts.cut(pass.parts(plan), some)), watch, once, left));
        left.run();
    }

    private void calibrate(
            Plan plan,
            List<Plan> solved,
            Pass pass,
            ArrayList<Parts> parts,
            Stopwatch watch,
            Done<SiteManifest> done,
            Runnable left)
            throws IOException {
        List<Plan.SitePlan> sites = pass.sites(plan);
        Shared<Plan> shared = shared(plan);
        ArrayList<Shared<Plan>> each = new ArrayList<>();
        solved.forEach(s -> each.add(shared(s)));
        BusyTime busy = new BusyTime(spark);
        StoreOpener opener = stores;
        String layers = "layer " + pass.from() + (pass.to() - pass.from() == 1 ? "" : " to " + (pass.to() - 1));
        spark.sc()
                .setJobDescription(
                        layers + (sites.isEmpty() ? ": forward" : ": forward with taps, reduce Hessians, quantize"));
        if (plan.onGpu() && parts.size() == 1) {
            try {
                wholePass(shared, each, pass, parts.get(0), busy, done);
            } finally {
                busy.addTo(watch);
            }
            return;
        }
        int tasks = plan.onGpu() && spark.isLocal() ? 1 : parts.size(); // in one process all share its GPU
        JavaPairRDD<Long, Hessians.Tile> tiles = indices(parts.size(), tasks, "parts of the calibration tokens")
                .flatMapToPair(index -> {
                    Stopwatch own = new Stopwatch();
                    GpuProfile.take();
                    PassTiles run = LostDevice.guarded(() -> {
                        Workbench bench = Workbench.of(shared.value(), opener);
                        return PassTiles.open(bench, pass, parts.get(index), own);
                    });
                    TaskContext.get().addTaskCompletionListener(context -> {
                        run.close();
                        busy.add(own);
                    });
                    return new Keyed(run);
                });
        if (sites.isEmpty()) {
            tiles.foreach(t -> {});
        } else {
            SitePartitioner partitioner = new SitePartitioner(sites);
            JavaRDD<byte[]> manifests = withProfile(tiles.repartitionAndSortWithinPartitions(partitioner)
                    .mapPartitions(sorted -> {
                        Stopwatch own = new Stopwatch();
                        GpuProfile.take();
                        ArrayList<SiteManifest> results = LostDevice.guarded(() -> {
                            Workbench bench = Workbench.of(shared.value(), opener);
                            List<Workbench> benches = benches(each, opener);
                            SortedTiles reduced = new SortedTiles(sorted);
                            ArrayList<SiteManifest> solvedSites = new ArrayList<>();
                            Batches<Gathered> batches = new Batches<>(benches, pass);
                            List<List<Gathered>> ready = new ArrayList<>();
                            for (Plan.SitePlan site : partitioner.sites(TaskContext.getPartitionId())) {
                                Statistics statistics = reduced.statistics(bench.plan(), pass, site);
                                ready.addAll(batches.add(site, new Gathered(site, statistics)));
                                solve(benches, pass, ready, own, solvedSites);
                            }
                            ready.addAll(batches.rest());
                            solve(benches, pass, ready, own, solvedSites);
                            return solvedSites;
                        });
                        busy.add(own);
                        return List.of(bytes(results)).iterator();
                    })
                    .setName("quantized sites of " + layers));
            try (MapSide mapSide = MapSide.watch(spark, left)) {
                collectAll(manifests, done);
            }
        }
        busy.addTo(watch);
    }

    /**
     * What became of a pass in one task.
     *
     * @param full what was said where memory ran out. Thrown, Spark would try the same again, several times
     */
    private record Whole(
            ArrayList<SiteManifest> sites, @Nullable String full) implements Serializable {}

    /** One task that takes all parts, and solves the sites beside. */
    private void wholePass(
            Shared<Plan> gathering,
            ArrayList<Shared<Plan>> solved,
            Pass pass,
            Parts parts,
            BusyTime busy,
            Done<SiteManifest> done)
            throws IOException {
        StoreOpener opener = stores;
        JavaRDD<byte[]> task = indices(1, 1, "all parts of the calibration tokens")
                .map(index -> {
                    Stopwatch own = new Stopwatch();
                    GpuProfile.take();
                    ArrayList<SiteManifest> sites = new ArrayList<>();
                    Whole whole = LostDevice.guarded(() -> {
                        try {
                            Workbench bench = Workbench.of(gathering.value(), opener);
                            PassSolve.run(bench, benches(solved, opener), pass, parts, own, sites::add);
                            return new Whole(sites, null);
                        } catch (DeviceOutOfMemory e) {
                            return new Whole(sites, e.getMessage());
                        }
                    });
                    busy.add(own);
                    return bytes(whole);
                });
        collect(task, (Whole whole) -> {
            acceptAll(whole.sites(), done);
            if (whole.full() != null) {
                throw new DeviceOutOfMemory(whole.full());
            }
        });
    }

    private static void acceptAll(List<SiteManifest> manifests, Done<SiteManifest> done) throws IOException {
        for (SiteManifest manifest : manifests) {
            done.accept(manifest);
        }
    }

    /** Takes batches of sites out of a list, one after the other. */
    private static void solve(
            List<Workbench> benches, Pass pass, List<List<Gathered>> ready, Stopwatch watch, List<SiteManifest> solved)
            throws IOException {
        for (List<Gathered> batch : ready) {
            solved.addAll(SiteTasks.reduced(benches, pass, batch, watch));
        }
        ready.clear();
    }

    /** Parts that a task takes. */
    private int together(Plan plan, Pass pass) {
        if (!plan.onGpu()) {
            return 1;
        }
        int gpus = spark.isLocal() ? 1 : spark.sc().getExecutorMemoryStatus().size() - 1; // without the driver
        int ofPass = Math.max(1, gpus / pass.beside(plan));
        return Parts.together(plan.cost().together(), pass.parts(plan).size(), ofPass);
    }

    private static List<Workbench> benches(List<Shared<Plan>> plans, StoreOpener opener) throws IOException {
        List<Workbench> benches = new ArrayList<>();
        for (Shared<Plan> plan : plans) {
            benches.add(Workbench.of(plan.value(), opener));
        }
        return benches;
    }

    private void collectAll(JavaRDD<byte[]> manifests, Done<SiteManifest> done) throws IOException {
        collect(manifests, (ArrayList<SiteManifest> some) -> acceptAll(some, done));
    }

    @Override
    public <I extends Serializable, R extends Serializable> void each(
            Plan plan, String name, List<I> items, Task<I, R> task, Stopwatch watch, Done<R> done) throws IOException {
        if (items.isEmpty()) {
            return;
        }
        BusyTime busy = new BusyTime(spark);
        StoreOpener opener = stores;
        Shared<Plan> shared = shared(plan);
        Shared<ArrayList<I>> sent = new Shared<>(spark, new ArrayList<>(items));
        spark.sc().setJobDescription(name + " (" + items.size() + ")");
        JavaRDD<byte[]> results = indices(items.size(), items.size(), name).map(index -> {
            Stopwatch own = new Stopwatch();
            GpuProfile.take();
            R result = LostDevice.guarded(() ->
                    task.run(Workbench.of(shared.value(), opener), sent.value().get(index), own));
            busy.add(own);
            return bytes(result);
        });
        try {
            collect(results, done);
        } finally {
            sent.forget();
        }
        busy.addTo(watch);
    }

    private Shared<Plan> shared(Plan plan) {
        return plans.computeIfAbsent(plan.output() + "#" + plan.id(), key -> new Shared<>(spark, plan));
    }

    /** The GPU address that each of a number of tasks was given; empty without GPUs. */
    List<String> gpuOfTasks(int tasks) {
        return indices(tasks, tasks, "GPU addresses")
                .map(i -> {
                    ResourceInformation gpu = TaskContext.get().resourcesJMap().get("gpu");
                    return gpu == null ? "" : String.join(",", gpu.addresses());
                })
                .collect();
    }

    private JavaRDD<Integer> indices(int count, int tasks, String name) {
        List<Integer> numbers = IntStream.range(0, count).boxed().toList();
        return withProfile(spark.parallelize(new ArrayList<>(numbers), tasks).setName(name));
    }

    private <T> JavaRDD<T> withProfile(JavaRDD<T> rdd) {
        return profile == null ? rdd : rdd.withResources(profile);
    }

    /** Runs the job and hands over each result as soon as its task is done, on this thread. */
    private <R extends Serializable> void collect(JavaRDD<byte[]> results, Done<R> done) throws IOException {
        try {
            ResultStream.run(results, bytes -> {
                @SuppressWarnings("unchecked")
                R result = (R) value(bytes);
                done.accept(result);
            });
        } catch (IOException | RuntimeException e) {
            throw unwrapped(e);
        }
    }

    /** A user's mistake that a task found is told as the sentence it is; anything else keeps its cause. */
    private static IOException unwrapped(Throwable failure) {
        for (Throwable t = failure; t != null; t = t.getCause()) {
            if (t instanceof QuernException quern) {
                throw quern;
            }
        }
        String sentence = said(failure, QuernException.class);
        if (sentence != null) {
            throw new QuernException(sentence, failure);
        }
        if (failure instanceof IOException io) {
            return io;
        }
        if (failure instanceof SparkException) {
            return new IOException(failure.getMessage(), failure);
        }
        if (failure instanceof RuntimeException runtime) {
            throw runtime;
        }
        return new IOException(failure);
    }

    /** What an exception said that reached the driver as text within another; null if it is none of this type. */
    private static @Nullable String said(Throwable failure, Class<? extends Throwable> type) {
        for (Throwable t = failure; t != null; t = t.getCause()) {
            String text = t.toString();
            int at = text.indexOf(type.getName() + ": ");
            if (at >= 0) {
                String rest = text.substring(at + type.getName().length() + 2);
                int end = rest.indexOf('\n');
                return end < 0 ? rest : rest.substring(0, end);
            }
        }
        return null;
    }

    /** The tiles of a partition, site after site. */
    private static final class SortedTiles {
        private final BufferedIterator<Tuple2<Long, Hessians.Tile>> tiles;

        SortedTiles(Iterator<Tuple2<Long, Hessians.Tile>> sorted) {
            tiles = CollectionConverters.asScala(sorted).buffered();
        }

        /** The sum of the tiles of the next site; zero if there are none, as for an expert that no token reached. */
        Statistics statistics(Plan plan, Pass pass, Plan.SitePlan site) {
            Hessians.Sum sum = Hessians.sum(plan, pass, site);
            long key = site.key();
            while (tiles.hasNext() && PassTiles.site(tiles.head()._1()) == key) {
                Tuple2<Long, Hessians.Tile> next = tiles.next();
                sum.add(PassTiles.part(next._1()), next._2());
            }
            return sum.statistics();
        }
    }

    /** Tiles under the keys that sort them. */
    private record Keyed(PassTiles tiles) implements Iterator<Tuple2<Long, Hessians.Tile>> {
        @Override
        public boolean hasNext() {
            return LostDevice.watched(tiles::hasNext);
        }

        @Override
        public Tuple2<Long, Hessians.Tile> next() {
            PassTiles.PartTile next = LostDevice.watched(tiles::next);
            return new Tuple2<>(next.key(), next.tile());
        }
    }

    static byte[] bytes(Serializable value) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (ObjectOutputStream objects = new ObjectOutputStream(out)) {
            objects.writeObject(value);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return out.toByteArray();
    }

    static Object value(byte[] bytes) throws IOException {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        try (ObjectInputStream objects = new ObjectInputStream(new ByteArrayInputStream(bytes)) {
            @Override
            protected Class<?> resolveClass(ObjectStreamClass description) throws IOException, ClassNotFoundException {
                return Class.forName(description.getName(), false, loader);
            }
        }) {
            return objects.readObject();
        } catch (ClassNotFoundException e) {
            throw new IOException(e);
        }
    }
}
