package quern.store;

class MemoryStoreTest extends BlobStoreContract {
    @Override
    protected BlobStore emptyStore() {
        return new MemoryStore();
    }
}
