package devices
