package pcap_test

func writeForever(dir string) {}
