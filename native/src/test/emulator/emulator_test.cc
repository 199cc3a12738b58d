// The emulator itself: that it sees what it is there to see.
#include "testing.h"

using namespace cuda_on_host;
using namespace testing_kernels;

static void reverse_in_block(const float* in, float* out, bool broken) {
  DYNAMIC_SHARED(float, tile);
  int i = threadIdx.x, n = blockDim.x;
  tile[i] = in[blockIdx.x * n + i];
  if (!broken) __syncthreads();
  out[blockIdx.x * n + i] = tile[n - 1 - i];
}

TEST(Emulator, AMissingBarrierIsSeen) {
  std::vector<float> in(256), forward(256), reverse(256);
  for (int i = 0; i < 256; i++) in[i] = (float)i;
  for (int broken = 0; broken < 2; broken++) {
    launch(dim3(2), dim3(128), 512, Order::forward, 0, [&] { reverse_in_block(in.data(), forward.data(), broken); });
    launch(dim3(2), dim3(128), 512, Order::reverse, 0, [&] { reverse_in_block(in.data(), reverse.data(), broken); });
    EXPECT_EQ(same_bits(forward, reverse), !broken);
  }
}

TEST(Emulator, ShufflesAndVotesMoveValuesAsOnTheGpu) {
  std::vector<int> got(64 * 4);
  launch(dim3(1), dim3(64), 0, Order::shuffled, seed(), [&] {
    int i = threadIdx.x, lane = i % 32;
    got[i * 4] = __shfl_sync(~0u, i, 3, 8);
    got[i * 4 + 1] = __shfl_xor_sync(~0u, i, 5);
    got[i * 4 + 2] = __shfl_down_sync(~0u, i, 2, 16);
    got[i * 4 + 3] = (int)__ballot_sync(~0u, lane % 3 == 0);
  });
  for (int i = 0; i < 64; i++) {
    int lane = i % 32;
    EXPECT_EQ(got[i * 4], i / 8 * 8 + 3);
    EXPECT_EQ(got[i * 4 + 1], i ^ 5);
    EXPECT_EQ(got[i * 4 + 2], lane % 16 < 14 ? i + 2 : i);
    EXPECT_EQ((unsigned)got[i * 4 + 3], 0x49249249u);
  }
}

TEST(EmulatorDeathTest, ADivergentBarrierEndsTheProcess) {
  EXPECT_DEATH(launch(dim3(1), dim3(64), 0, Order::forward, 0, [] { if (threadIdx.x < 32) __syncthreads(); }), "ended before a barrier");
  EXPECT_DEATH(launch(dim3(1), dim3(32), 0, Order::forward, 0, [] { if (threadIdx.x < 16) __shfl_sync(~0u, 1, 0); }), "named in the mask");
  EXPECT_DEATH(launch(dim3(1), dim3(32), 0, Order::forward, 0, [] { __shfl_sync(0xffffu, 1, 0); }), "not in its own mask");
}

#if defined(__SANITIZE_ADDRESS__)
TEST(EmulatorDeathTest, SharedMemoryHasBounds) {
  std::vector<float> v(256);
  EXPECT_DEATH(launch(dim3(2), dim3(128), 508, Order::forward, 0, [&] { reverse_in_block(v.data(), v.data(), false); }), "heap-buffer-overflow");
}
#endif
