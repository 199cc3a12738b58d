package quern.device;

class JavaDeviceTest extends DeviceContractTest {
    @Override
    Device open() {
        return Devices.open("java");
    }
}
